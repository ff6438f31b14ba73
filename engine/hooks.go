package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	// hookOutput is how much of a hook's output, in bytes, its error can quote.
	hookOutput = 4 << 10
	// hookKill is how long the end of a killed hook is waited for.
	hookKill = 5 * time.Second
	// hookEnd is how long after the kill of a hook the end of its container, which
	// takes all with it, may become known.
	hookEnd = time.Second
	killed  = 128 + int(unix.SIGKILL)
)

// RunHooks runs a container's hooks of a moment one after the other. A daemon
// that dies meanwhile leaves them due: its successor's call takes up the hook that
// runs, and the results of the minute before; what ended earlier runs again.
func (e *Engine) RunHooks(ctx context.Context, id string, when spec.Moment) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	hooks := l.rec.Blueprint.Hooks(when)
	if len(hooks) == 0 {
		return nil
	}
	c, _, _ := l.look()
	fault.Point("hook:begin")
	for i, h := range hooks {
		if err = e.hook(ctx, l, when, h, hookID(l.id, when, c, i)); err != nil {
			break
		}
		fault.Point("hook:ended")
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if _, _, removed := l.look(); removed {
		return err
	}
	l.set(func(c *condition) {
		c.HookRounds++
		c.Status.HooksDue = c.Status.HooksDue && (when != spec.PostStart || err != nil)
	})
	e.persist(l)
	fault.Point("hook:noted")
	return err
}

// hookID names the exec of a hook. It is the same for who does the same again
// after a crash, and another once the hooks of a moment have been run or the
// container has been started anew.
func hookID(id string, when spec.Moment, c condition, index int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d %d", id, when, c.Run, c.HookRounds, index))
	return hex.EncodeToString(sum[:])
}

// hook runs one and words how it failed.
func (e *Engine) hook(ctx context.Context, l *life, when spec.Moment, h spec.Hook, exec string) error {
	exit, err := e.runHook(ctx, l, h, exec)
	switch {
	case (err != nil || exit.Code == killed) && ctx.Err() == nil && e.endsWithin(ctx, l, hookEnd):
		return spec.Errorf(spec.ErrNotRunning, "container %s ended before its %s hook", l.name(), when)
	case err != nil:
		return fmt.Errorf("cannot run the %s hook of %s: %w", when, l.name(), err)
	case exit.Code != 0:
		return hookFailed(when, l.name(), exit)
	}
	return nil
}

// endsWithin reports whether a container has ended, or does so in time; it may be
// removed already.
func (e *Engine) endsWithin(ctx context.Context, l *life, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := e.await(ctx, l, func(c condition) bool { return c.Status.State != spec.StateRunning })
	return err == nil || errors.Is(err, spec.ErrNotFound)
}

func hookFailed(when spec.Moment, name string, exit wire.MonitorExit) error {
	output := strings.TrimSpace(string(exit.Output))
	if output == "" {
		return fmt.Errorf("%s hook of %s exited with status %d", when, name, exit.Code)
	}
	return fmt.Errorf("%s hook of %s exited with status %d: %s", when, name, exit.Code, output)
}

// runHook runs one to its end; when ctx ends, it is killed.
func (e *Engine) runHook(ctx context.Context, l *life, h spec.Hook, exec string) (wire.MonitorExit, error) {
	to, free, err := e.target(l)
	if err != nil {
		return wire.MonitorExit{}, err
	}
	defer free()
	x := spec.Exec{
		ID: exec, Container: l.id, Args: h.Args, User: h.User, WorkingDir: h.WorkingDir, Privileged: h.Privileged,
	}
	for _, name := range slices.Sorted(maps.Keys(h.Environment)) {
		x.Environment = append(x.Environment, name+"="+h.Environment[name])
	}
	if err := e.exec(ctx, l, to, x, hookOutput); err != nil {
		return wire.MonitorExit{}, err
	}
	exit, err := to.monitor.WaitExec(ctx, x.ID)
	if ctx.Err() == nil {
		return exit, err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookKill)
	defer cancel()
	if err := to.monitor.Signal(ending, x.ID, int(unix.SIGKILL)); err == nil {
		_, _ = to.monitor.WaitExec(ending, x.ID) // its end is all that counts
	}
	return wire.MonitorExit{}, context.Cause(ctx)
}
