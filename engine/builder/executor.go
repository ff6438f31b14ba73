package builder

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spawn"
)

// killTime is how long a killed step may take to end.
const killTime = 30 * time.Second

// unmountTime is how long the mounts of a step that has ended may stay.
const unmountTime = 5 * time.Second

// stepExecutor runs build steps as containers of ours, children of this
// process, each in a control group of its own:
//
//	Run ─▶ sandbox (daemon) ─▶ root and mounts, detached ─▶ recipe ─▶ spawn
//	                                                                    │ wait
//	    ◀─ sandbox given back ◀─ group removed ◀─ stubs cleaned ◀───────┘
//
// It implements BuildKit's executor.Executor.
type stepExecutor struct {
	builder *Builder
	// parent is the control group that steps' groups are made in.
	parent string

	mu       sync.Mutex // guards what follows
	host     *cgroup.Host
	confiner *confine.Confiner
	running  map[*step]bool
	stopped  bool
	steps    sync.WaitGroup
}

// errStopping is what a step gets that comes when the builder leaves.
var errStopping = errors.New("the builder is leaving")

// Run implements executor.Executor. It always closes started.
func (e *stepExecutor) Run(ctx context.Context, _ string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	var once sync.Once
	begin := func() {
		if started != nil {
			once.Do(func() { close(started) })
		}
	}
	defer begin()
	s, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer e.leave(s)
	fault.Point("build:step:prepare")
	err = s.prepare(ctx, root, mounts, process.Meta)
	code := 0
	if err == nil {
		fault.Point("build:step:start")
		code, err = s.run(ctx, process, begin)
		fault.Point("build:step:ended")
	}
	// Also after a failure everything is given back; its error counts only if
	// there is no other.
	if undone := s.undo(context.WithoutCancel(ctx)); err == nil {
		err = undone
	}
	if err != nil {
		return nil, err
	}
	return nil, exitError(ctx, code, process.Meta.ValidExitCodes)
}

// Exec implements executor.Executor; only debuggers ask for it.
func (e *stepExecutor) Exec(context.Context, string, executor.ProcessInfo) error {
	return errors.New("a second process in a build step is not supported")
}

// enter counts a step in; the machine is looked at when the first one comes.
func (e *stepExecutor) enter() (*step, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, errStopping
	}
	if e.builder.small == nil {
		return nil, errors.New("cannot run a build step: the builder was started without the small program")
	}
	if e.confiner == nil {
		host, err := cgroup.Discover()
		if err != nil {
			return nil, fmt.Errorf("cannot run a build step: %w", err)
		}
		confiner, err := confine.New()
		if err != nil {
			return nil, fmt.Errorf("cannot run a build step: %w", err)
		}
		e.host, e.confiner, e.running = host, confiner, map[*step]bool{}
	}
	id := newID()
	s := &step{
		id: id, server: e.builder.host.Load(), confiner: e.confiner, host: e.host,
		group: e.host.Group(e.parent + "/" + id), spawner: spawn.Spawner{Small: e.builder.small},
	}
	e.running[s] = true
	e.steps.Add(1)
	return s, nil
}

func (e *stepExecutor) leave(s *step) {
	e.mu.Lock()
	delete(e.running, s)
	e.mu.Unlock()
	fault.Point("build:step:undone")
	e.steps.Done()
}

// stop kills every step and waits until none is left. No further one starts.
func (e *stepExecutor) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	var errs []error
	e.mu.Lock()
	e.stopped = true
	for s := range e.running {
		errs = append(errs, s.group.Kill(ctx))
	}
	e.mu.Unlock()
	e.steps.Wait()
	return errors.Join(errs...)
}

// newID is 64 hex digits, like a container's.
func newID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// exitError is nil for a code that counts as success, else the error that the
// solver prints as "exit code: N".
func exitError(ctx context.Context, code int, valid []int) error {
	if len(valid) == 0 {
		valid = []int{0}
	}
	if slices.Contains(valid, code) {
		return nil
	}
	err := &gatewayapi.ExitError{ExitCode: uint32(code)}
	if ctx.Err() != nil {
		err.Err = context.Cause(ctx)
	}
	return err
}
