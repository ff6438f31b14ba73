package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
)

// defaultGrace is the time from the stop signal to the kill.
const defaultGrace = 10 * time.Second

// StopContainer ends a container: its stop signal, and after the grace period
// a kill of its whole cgroup. It returns when nothing is held any more; one
// that does not run is success.
func (e *Engine) StopContainer(ctx context.Context, id string, how spec.Stop) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	signal, err := l.stopSignal(how.Signal)
	if err != nil {
		return err
	}
	run, err := e.askToEnd(l, signal, how)
	if err != nil {
		return fmt.Errorf("cannot stop %s: %w", l.name(), err)
	}
	if err := e.waitOrKill(ctx, l, run, l.grace(how)); err != nil {
		return fmt.Errorf("cannot stop %s: %w", l.name(), err)
	}
	l.noted()
	return nil
}

func (l *life) grace(how spec.Stop) time.Duration {
	if how.Grace != nil {
		return *how.Grace
	}
	if own := l.rec.Blueprint.StopGrace; own != nil {
		return *own
	}
	return defaultGrace
}

func (l *life) stopSignal(override string) (int, error) {
	for _, name := range []string{override, l.rec.Blueprint.StopSignal, l.rec.Image.StopSignal} {
		if name != "" {
			return container.Signal(name)
		}
	}
	return int(unix.SIGTERM), nil
}

// askToEnd tells the policy to rest and sends the signal, and returns the run
// that was asked. A container in back-off has ended with that, and one that an
// earlier stop kept things for loses them now unless this one keeps them too.
func (e *Engine) askToEnd(l *life, signal int, how spec.Stop) (run int64, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, _ := l.look()
	if !c.Status.Up() {
		if c.Held && !how.Keep {
			e.releaseKept(l)
		}
		return c.Run, nil
	}
	if c.Status.State == spec.StateRestarting {
		e.stayEnded(l)
		return c.Run, nil
	}
	l.held.keep, l.held.passes = how.Keep, how.PassPorts
	if how.Keep {
		e.openLeft(l)
	} else {
		l.leaveNothing() // to an earlier stop, which has been overtaken
	}
	if how.Keep || how.PassPorts {
		e.holdPorts(l)
	}
	l.set(func(c *condition) {
		c.Restart, _ = health.NextRestart(l.rec.Blueprint.Restart, c.Restart, health.Input{Kind: health.Stop})
	})
	e.persist(l)
	e.tell(l, "kill", "signal", strconv.Itoa(signal))
	if err := e.signal(l, signal); err != nil {
		return c.Run, err
	}
	return c.Run, e.thaw(l) // a frozen one hears nothing
}

// stayEnded ends the back-off of a container. turn is held.
func (e *Engine) stayEnded(l *life) {
	l.stopTimer()
	e.release(l)
	l.set(func(c *condition) {
		c.Restart, _ = health.NextRestart(l.rec.Blueprint.Restart, c.Restart, health.Input{Kind: health.Stop})
		c.Status.State = spec.StateExited
		c.Status.StoppedByUser = true
	})
	e.persist(l)
	e.tell(l, "stop")
}

// signal sends a signal to the first process; one that has just ended is
// success. turn is held.
func (e *Engine) signal(l *life, signal int) error {
	if l.held.monitor == nil {
		return nil // it is being found out what became of it
	}
	err := l.held.monitor.SignalFirst(e.ctx, signal, l.held.left.Init())
	if monitorLost(err) {
		return nil // its end kills the container, see settle
	}
	if c, _, _ := l.look(); err != nil && (!c.Status.Up() || l.held.ended()) {
		return nil
	}
	return err
}

// ended reports that the first process is gone: its end is on its way.
func (h *held) ended() bool {
	return h.pidfd == nil || errors.Is(unix.PidfdSendSignal(int(h.pidfd.Fd()), 0, nil, 0), unix.ESRCH)
}

// noted waits until the end that was just seen is stored: whoever asked for it
// makes it durable next.
func (l *life) noted() {
	l.turn.Lock()
	defer l.turn.Unlock()
}

// waitOrKill waits for the end of a run; after the grace period what runs of it
// is killed. A negative grace waits for as long as ctx does. A run that another
// client has begun meanwhile is none of ours.
func (e *Engine) waitOrKill(ctx context.Context, l *life, run int64, grace time.Duration) error {
	over := func(c condition) bool { return !c.Status.Up() || c.Run != run }
	if grace >= 0 {
		waiting, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		_, err := e.await(waiting, l, over)
		if err == nil || errors.Is(err, spec.ErrNotFound) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := e.killRun(ctx, l, run); err != nil {
			return err
		}
	}
	_, err := e.await(ctx, l, over)
	if errors.Is(err, spec.ErrNotFound) {
		return nil
	}
	return err
}

// killTurn is for how long one try of killRun keeps other changes of its
// container waiting.
const killTurn = time.Second

// killRun kills what runs of a container's run. The control group is the next
// run's too, so turn, without which there is none, is held for each try.
func (e *Engine) killRun(ctx context.Context, l *life, run int64) error {
	for {
		over, err := e.tryKill(ctx, l, run)
		if over || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// tryKill is one try of killRun; over: that run has ended already.
func (e *Engine) tryKill(ctx context.Context, l *life, run int64) (over bool, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if c, _, _ := l.look(); !c.Status.Up() || c.Run != run {
		return true, nil
	}
	l.leaveNothing()
	ctx, cancel := context.WithTimeout(ctx, killTurn)
	defer cancel()
	return false, e.group(l).Kill(ctx)
}

// KillContainer sends a signal, SIGKILL if it is empty. It waits for the end
// only of a container that it kills.
func (e *Engine) KillContainer(ctx context.Context, id, name string) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	if name == "" {
		name = "KILL"
	}
	signal, err := container.Signal(name)
	if err != nil {
		return err
	}
	if !l.status().Up() {
		return spec.Errorf(spec.ErrNotRunning, "cannot kill %s: it is not running", l.name())
	}
	if signal == int(unix.SIGKILL) {
		run, err := e.askToEnd(l, signal, spec.Stop{})
		if err != nil {
			return fmt.Errorf("cannot kill %s: %w", l.name(), err)
		}
		if err := e.waitOrKill(ctx, l, run, 0); err != nil {
			return err
		}
		l.noted()
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	own, err := l.stopSignal("")
	stops := err == nil && own == signal
	if stops && l.status().State == spec.StateRestarting {
		e.stayEnded(l) // there is nobody to signal
		return nil
	}
	if stops {
		l.set(func(c *condition) {
			c.Restart, _ = health.NextRestart(l.rec.Blueprint.Restart, c.Restart, health.Input{Kind: health.Stop})
		})
		e.persist(l)
	}
	if err := e.signal(l, signal); err != nil {
		return fmt.Errorf("cannot kill %s: %w", l.name(), err)
	}
	e.tell(l, "kill", "signal", strconv.Itoa(signal))
	return nil
}

// WaitContainer returns the status once the condition holds, or an error when
// it cannot hold any more.
func (e *Engine) WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error) {
	l, err := e.life(id)
	if err != nil {
		return spec.Status{}, err
	}
	if _, ok := l.check(); until == spec.UntilHealthy && !ok {
		return l.status(), spec.Errorf(spec.ErrNoHealth, "container %s has no healthcheck configured", l.name())
	}
	var verdict error
	c, err := e.await(ctx, l, func(c condition) bool {
		var done bool
		done, verdict = holds(l.name(), c, until)
		return done
	})
	if err == nil && until == spec.UntilExited {
		l.noted()
	}
	return c.Status, errors.Join(verdict, err)
}

// holds decides whether a condition holds, or with an error that it never
// will.
func holds(name string, c condition, until spec.Condition) (bool, error) {
	s := c.Status
	ended := s.State == spec.StateExited || s.State == spec.StateCreated && !c.Held
	switch until {
	case spec.UntilRunning:
		if ended {
			return true, spec.Errorf(spec.ErrNotRunning, "container %s exited (%d)", name, s.ExitCode)
		}
		return s.State == spec.StateRunning || s.State == spec.StatePaused, nil
	case spec.UntilHealthy:
		switch {
		case ended:
			return true, spec.Errorf(spec.ErrNotRunning, "container %s exited (%d)", name, s.ExitCode)
		case s.Health == spec.HealthUnhealthy:
			return true, spec.Errorf(spec.ErrUnhealthy, "container %s is unhealthy", name)
		}
		return s.Health == spec.HealthHealthy, nil
	case spec.UntilExited:
		return s.State == spec.StateExited, nil
	}
	return true, spec.Errorf(spec.ErrUnsupported, "cannot wait until %q", until)
}
