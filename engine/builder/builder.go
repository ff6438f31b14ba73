package builder

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"golang.org/x/sync/semaphore"

	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/store"
)

// Builder pulls, imports and builds into one Store.
type Builder struct {
	store   *Store
	log     *slog.Logger
	small   *os.File
	blobs   keyedLocks
	unpacks *semaphore.Weighted
	certs   []string // folders with certificates of registries
	// host is the connection of Serve.
	host atomic.Pointer[server]
	// registries are those of the last build: BuildKit asks outside of any
	// request, and only for what our own puller does not bring.
	registries atomic.Pointer[image.Registries]

	steps *stepExecutor
	kitMu sync.Mutex
	kit   *kit // nil before the first build
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
	own, err := OpenStore(ctx, o.StateDir)
	if err != nil {
		return nil, err
	}
	place, err := store.Locate(o.StateDir, "")
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	b := &Builder{
		store: own,
		log:   o.Log,
		small: o.Small,
		certs: certFolders(),
		// Inflating is what takes the time, but a slow registry should not
		// leave the processors idle.
		unpacks: semaphore.NewWeighted(int64(max(4, 2*runtime.NumCPU()))),
	}
	b.steps = &stepExecutor{builder: b, parent: image.StepGroup(place.Tag)}
	return b, nil
}

// Close ends the builder; nothing of it may be running.
func (b *Builder) Close() error {
	var err error
	if b.kit != nil {
		err = b.kit.close()
	}
	return errors.Join(err, b.store.Close())
}

func (b *Builder) currentHosts(registry string) ([]docker.RegistryHost, error) {
	var r image.Registries
	if last := b.registries.Load(); last != nil {
		r = *last
	}
	return registryHosts(r, b.certs)(registry)
}
