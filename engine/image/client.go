package image

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/mycompose/mycompose/engine/wire"
)

// Host is what the builder may ask the daemon for while it works.
type Host interface {
	// Resolve returns the digest of the record that the normalized name
	// points at, or "".
	Resolve(ctx context.Context, reference string) (string, error)
	// Keep stores an image that a build has pulled for its FROM, so that the
	// next build finds it here.
	Keep(ctx context.Context, r Result) error
	// OpenSandbox makes a network namespace for a RUN. The file is the
	// namespace's descriptor; the client closes it once it is sent.
	OpenSandbox(ctx context.Context, r SandboxRequest) (Sandbox, *os.File, error)
	// CloseSandbox takes it down; an unknown one is no error.
	CloseSandbox(ctx context.Context, id string) error
}

// Client is the daemon's end of the connection to one builder. Its methods may
// be called by many goroutines while Serve runs.
type Client struct {
	peer *wire.Peer
	host Host

	mu   sync.Mutex // guards what follows
	jobs map[string]func(Event)
	// open are the sandboxes of this connection: they end with it.
	open map[string]bool
}

// NewClient wraps the connection to a builder that was just started.
func NewClient(conn *wire.Conn, host Host) *Client {
	c := &Client{host: host, jobs: map[string]func(Event){}, open: map[string]bool{}}
	c.peer = wire.NewPeer(conn, c.handle)
	return c
}

// Attend has the builder looked after while it is waited for; see wire.Peer.
func (c *Client) Attend(pid int) { c.peer.Attend(func() int { return pid }) }

// Serve answers the builder until the connection ends, then closes the
// sandboxes that it left open.
func (c *Client) Serve(ctx context.Context) error {
	err := c.peer.Serve(ctx)
	c.mu.Lock()
	left := c.open
	c.open = map[string]bool{}
	c.mu.Unlock()
	for id := range left {
		err = errors.Join(err, c.host.CloseSandbox(context.WithoutCancel(ctx), id))
	}
	return err
}

// Close ends the connection: the builder kills its steps and leaves.
func (c *Client) Close() error { return c.peer.Close() }

// Pull fetches and unpacks an image. event is called in order and must not
// block; it may be nil.
func (c *Client) Pull(ctx context.Context, r PullRequest, event func(Event)) (Result, error) {
	var out Result
	err := c.job(ctx, KindPull, &r.Job, &r, &out, event)
	return out, err
}

// Push sends an image to a registry.
func (c *Client) Push(ctx context.Context, r PushRequest, event func(Event)) error {
	var out struct{}
	return c.job(ctx, KindPush, &r.Job, &r, &out, event)
}

// Build builds an image.
func (c *Client) Build(ctx context.Context, r BuildRequest, event func(Event)) (Result, error) {
	var out Result
	err := c.job(ctx, KindBuild, &r.Job, &r, &out, event)
	return out, err
}

// Import takes in the root file system tar, which it reads from its position.
func (c *Client) Import(ctx context.Context, r ImportRequest, tar *os.File, event func(Event)) (Result, error) {
	var out Result
	err := c.job(ctx, KindImport, &r.Job, &r, &out, event, tar)
	return out, err
}

// Load takes in the images of an archive.
func (c *Client) Load(ctx context.Context, r LoadRequest, archive *os.File, event func(Event)) (LoadResult, error) {
	var out LoadResult
	err := c.job(ctx, KindLoad, &r.Job, &r, &out, event, archive)
	return out, err
}

// Save writes images into an archive.
func (c *Client) Save(ctx context.Context, r SaveRequest, to *os.File) error {
	var out struct{}
	return c.job(ctx, KindSave, &r.Job, &r, &out, nil, to)
}

// Release drops a record's lease, after the record itself was deleted.
func (c *Client) Release(ctx context.Context, digest string) error {
	_, err := c.peer.Call(ctx, KindRelease, ReleaseRequest{Digest: digest}, nil)
	return err
}

// Keep tells a fresh builder which records exist and hears which of them have
// lost their layers.
func (c *Client) Keep(ctx context.Context, digests []string) ([]string, error) {
	var out KeepResult
	_, err := c.peer.Call(ctx, KindKeep, KeepRequest{Digests: digests}, &out)
	return out.Missing, err
}

// Prune throws away unused build cache and returns the bytes that it freed.
func (c *Client) Prune(ctx context.Context, r PruneRequest) (int64, error) {
	var out PruneResult
	_, err := c.peer.Call(ctx, KindPrune, r, &out)
	return out.Bytes, err
}

// job runs one call with events. When ctx ends it asks the builder to cancel
// and still waits for the answer, so that nothing of the job runs on.
func (c *Client) job(ctx context.Context, kind string, id *string, in, out any, event func(Event), files ...*os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if *id == "" {
		*id = newJobID()
	}
	if event != nil {
		c.mu.Lock()
		c.jobs[*id] = event
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.jobs, *id)
			c.mu.Unlock()
		}()
	}
	stop := context.AfterFunc(ctx, func() {
		// If this fails the connection has ended and so does the call.
		_ = c.peer.Notify(KindCancel, CancelRequest{Job: *id})
	})
	defer stop()
	_, err := c.peer.Call(context.WithoutCancel(ctx), kind, in, out, files...)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func newJobID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// handle answers the builder.
func (c *Client) handle(ctx context.Context, r *wire.Request) (wire.Reply, error) {
	for _, f := range r.Files {
		f.Close() // none of these requests has one
	}
	switch r.Kind {
	case KindEvent:
		var e Event
		if err := r.Decode(&e); err != nil {
			return wire.Reply{}, err
		}
		c.mu.Lock()
		event := c.jobs[e.Job]
		c.mu.Unlock()
		if event != nil {
			event(e)
		}
		return wire.Reply{}, nil
	case KindResolve:
		var q ResolveRequest
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		digest, err := c.host.Resolve(ctx, q.Reference)
		return wire.Reply{Body: ResolveResult{Digest: digest}}, err
	case KindStore:
		var q Result
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		return wire.Reply{Body: struct{}{}}, c.host.Keep(ctx, q)
	case KindSandbox:
		return c.openSandbox(ctx, r)
	case KindUnsandbox:
		var q SandboxClose
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		c.mu.Lock()
		delete(c.open, q.ID)
		c.mu.Unlock()
		return wire.Reply{Body: struct{}{}}, c.host.CloseSandbox(ctx, q.ID)
	}
	return wire.Reply{}, fmt.Errorf("unknown request %q from the builder", r.Kind)
}

func (c *Client) openSandbox(ctx context.Context, r *wire.Request) (wire.Reply, error) {
	var q SandboxRequest
	if err := r.Decode(&q); err != nil {
		return wire.Reply{}, err
	}
	c.mu.Lock()
	c.open[q.ID] = true
	c.mu.Unlock()
	sandbox, namespace, err := c.host.OpenSandbox(ctx, q)
	if err != nil {
		c.mu.Lock()
		delete(c.open, q.ID)
		c.mu.Unlock()
		return wire.Reply{}, err
	}
	var files []*os.File
	if namespace != nil {
		files = append(files, namespace)
	}
	return wire.Reply{Body: sandbox, Files: files}, nil
}
