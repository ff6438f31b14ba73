package builder

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Builder pulls, imports and builds into one Store.
type Builder struct {
	store   *Store
	log     *slog.Logger
	small   *os.File
	blobs   keyedLocks
	unpacks *semaphore.Weighted
	// host is the connection of Serve.
	host atomic.Pointer[server]
}

// Options are what a builder needs from its process.
type Options struct {
	StateDir string
	Log      *slog.Logger
	// Small is the open small program that runs build steps; without it
	// every RUN fails.
	Small *os.File
}

// New opens the store of the state folder and makes a builder for it.
func New(ctx context.Context, o Options) (*Builder, error) {
	store, err := OpenStore(ctx, o.StateDir)
	if err != nil {
		return nil, err
	}
	return &Builder{
		store: store,
		log:   o.Log,
		small: o.Small,
		// Inflating is what takes the time, but a slow registry should not
		// leave the processors idle.
		unpacks: semaphore.NewWeighted(int64(max(4, 2*runtime.NumCPU()))),
	}, nil
}

// Close ends the builder; nothing of it may be running.
func (b *Builder) Close() error { return b.store.Close() }
