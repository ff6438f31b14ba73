package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// BuilderProgram returns the path of the builder's program, unpacked. It is
// started with argv[0] wire.RoleBuilder and the reduced environment; descriptor
// 3 is its connection to us, 4 the small program.
type BuilderProgram func() (path string, err error)

// builder is the builder process and what it got from us.
type builder struct {
	startTurn sync.Mutex // held by the one that starts it

	mu        sync.Mutex // guards what follows
	client    *image.Client
	proxy     map[string]string // that it was started with
	done      chan struct{}     // closed when it has ended
	end       string            // how the one before ended, "signal: killed"
	network   *bridge           // the build network, while it stands
	sandboxes map[string]*sandbox
}

// use runs f with a connection to the builder, which is started if it does not
// run. If it ends under f, as it does when it is killed or idle, f is repeated
// once.
func (b *builder) use(ctx context.Context, e *Engine, proxy map[string]string, f func(*image.Client) error) error {
	for attempt := 0; ; attempt++ {
		c, err := b.connect(ctx, e, proxy)
		if err != nil {
			return fmt.Errorf("cannot start the builder: %w", err)
		}
		err = f(c)
		if !errors.Is(err, wire.ErrClosed) || ctx.Err() != nil {
			return err
		}
		b.forget(c) // follow may not have seen its end yet
		if attempt > 0 {
			return fmt.Errorf("the builder ended in the midst of it, twice: %s", b.ended(ctx))
		}
	}
}

// forget sees to it that a connection that has ended is not used again.
func (b *builder) forget(c *image.Client) {
	b.mu.Lock()
	if b.client == c {
		b.client = nil
	}
	b.mu.Unlock()
	c.Close()
}

// ended waits until a builder that is forgotten has ended, and says how.
func (b *builder) ended(ctx context.Context) string {
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

func (b *builder) connect(ctx context.Context, e *Engine, proxy map[string]string) (*image.Client, error) {
	b.startTurn.Lock()
	defer b.startTurn.Unlock()
	b.mu.Lock()
	c, done, same := b.client, b.done, maps.Equal(b.proxy, proxy)
	b.mu.Unlock()
	if c != nil && same {
		return c, nil
	}
	if c != nil { // another proxy is part of its environment
		c.Close()
	}
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := b.start(e, proxy); err != nil {
		return nil, err
	}
	b.mu.Lock()
	c = b.client
	b.mu.Unlock()
	return c, b.tell(ctx, e, c)
}

// tell says which records there are, and forgets those whose layers are lost.
func (b *builder) tell(ctx context.Context, e *Engine, c *image.Client) error {
	digests, err := e.images.Digests()
	if err != nil {
		return err
	}
	missing, err := c.Keep(ctx, digests)
	if len(missing) > 0 {
		e.log.Warn("images have lost their layers: pull or build them again", "images", missing)
	}
	return err
}

func (b *builder) start(e *Engine, proxy map[string]string) error {
	if e.cfg.Builder == nil {
		return spec.Errorf(spec.ErrUnavailable, "there is no builder program")
	}
	program, err := e.cfg.Builder()
	if err != nil {
		return err
	}
	ours, theirs, err := wire.Pair()
	if err != nil {
		return err
	}
	theirFile := os.NewFile(uintptr(theirs), "builder")
	defer theirFile.Close()
	conn, err := wire.NewConn(ours)
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer null.Close()
	env := e.place.Environment()
	for _, name := range slices.Sorted(maps.Keys(proxy)) {
		env = append(env, name+"="+proxy[name])
	}
	if err := fault.Errno("builder:start"); err != nil {
		return errors.Join(err, conn.Close())
	}
	process, err := os.StartProcess(program, []string{wire.RoleBuilder}, &os.ProcAttr{
		Dir: "/", Env: env, Sys: &syscall.SysProcAttr{Setsid: true},
		Files: []*os.File{null, os.Stderr, os.Stderr, theirFile, e.cfg.Small},
	})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	fault.Point("builder:started")
	client, done := image.NewClient(conn, builderHost{e}), make(chan struct{})
	client.Attend(process.Pid)
	b.mu.Lock()
	b.client, b.proxy, b.done = client, proxy, done
	b.mu.Unlock()
	e.goDo(func() {
		defer close(done)
		b.follow(e, client, process)
	})
	return nil
}

// follow serves the builder until it ends.
func (b *builder) follow(e *Engine, client *image.Client, process *os.Process) {
	if err := client.Serve(e.ctx); err != nil && e.ctx.Err() == nil {
		e.log.Warn("connection of the builder", "err", err)
	}
	b.mu.Lock()
	if b.client == client {
		b.client = nil
	}
	b.mu.Unlock()
	client.Close()
	wire.LetGoOn(process.Pid) // a stopped one does not see that
	end, err := wire.Wait(process)
	if err != nil {
		e.log.Warn("builder", "err", err)
	} else {
		b.mu.Lock()
		b.end = end.String()
		b.mu.Unlock()
	}
	if err := errors.Join(e.removeSteps(), e.removeBuildNetwork()); err != nil {
		e.log.Warn("something of the builder is left", "err", err)
	}
}

// removeSteps kills the build steps that a dead builder left. A project may be
// called as the steps' group is: its containers are known.
func (e *Engine) removeSteps() error {
	groups, err := e.cgroups.List(e.groupRoot())
	for _, name := range groups {
		if path.Dir(name) == image.StepGroup(e.place.Tag) && !e.holds(path.Base(name)) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), killTime)
			err = errors.Join(err, e.cgroups.Group(name).Remove(ctx))
			cancel()
		}
	}
	return err
}

// release drops a lease if the builder runs; one that starts later hears from
// tell what there is.
func (b *builder) release(ctx context.Context, digest string) error {
	b.mu.Lock()
	c := b.client
	b.mu.Unlock()
	if c == nil {
		return nil
	}
	if err := c.Release(ctx, digest); err != nil && !errors.Is(err, wire.ErrClosed) {
		return err
	}
	return nil
}

// close ends the connection: the builder kills its steps and leaves.
func (b *builder) close() {
	b.mu.Lock()
	c := b.client
	b.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// bridge is the build network, nil unless it stands.
func (b *builder) bridge() *bridge {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.network
}

// codeOf is the code of an error that came over the wire, or "".
func codeOf(err error) string {
	var remote *wire.RemoteError
	if errors.As(err, &remote) {
		return remote.Code
	}
	return ""
}
