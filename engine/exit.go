package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// end notes that a run has ended and asks the restart policy: it starts the
// wait of a back-off, or releases what the container holds. Ends of other runs
// than the current one are known already. turn is held.
func (e *Engine) end(l *life, x wire.MonitorExit) {
	c, _, _ := l.look()
	if c.Run == 0 || x.StartedAt != c.Run || !c.Status.Up() || c.Status.State == spec.StateRestarting {
		return
	}
	l.stopProbes()
	l.held.closePIDFD()
	e.announce(l, c.Places, false)
	ran := ranFor(x)
	next, wait := health.NextRestart(l.rec.Blueprint.Restart, c.Restart,
		health.Input{Kind: health.End, Code: x.Code, Ran: ran})
	restarts, keeps := next.Phase == health.Waiting, next.Stopped && l.held.keep
	l.held.keep = false
	if !keeps || x.OOM {
		l.leaveNothing()
	}
	fault.Point("engine:end")
	if l.held.left != nil {
		// Its next run finds all as it was.
	} else if restarts || keeps {
		// Its next run gets a fresh one: nothing of this run stays in it, and
		// into a group that was killed nothing can be cloned on Linux 6.18.
		e.removeGroup(l)
	} else {
		e.keepOutput(l)
		// Before the status says so: who waits for the end finds all gone.
		e.release(l)
	}
	l.set(func(c *condition) {
		c.Restart = next
		s := &c.Status
		s.State = spec.StateExited
		if restarts {
			s.State = spec.StateRestarting
		}
		s.ExitedAt, s.ExitCode, s.OOMKilled, s.Reason = time.Unix(0, x.ExitedAt), x.Code, x.OOM, x.Reason
		if x.OOM && s.Reason == "" {
			s.Reason = "out of memory"
		}
		s.StoppedByUser = next.Stopped
		s.Health = spec.HealthNone
	})
	e.persist(l)
	fault.Point("engine:ended")
	if x.OOM {
		e.tell(l, "oom")
	}
	e.tell(l, "die", "exitCode", strconv.Itoa(x.Code))
	if next.Stopped {
		e.tell(l, "stop")
	}
	switch {
	case restarts:
		e.restartAfter(l, wait)
	case keeps:
		e.releaseAfter(l, keepTime)
	}
}

// ranFor is how long a run lasted. Where its monitor could not measure it, the
// wall clock tells, which may have been set meanwhile.
func ranFor(x wire.MonitorExit) time.Duration {
	if x.Ran > 0 {
		return time.Duration(x.Ran)
	}
	return time.Duration(max(x.ExitedAt-x.StartedAt, 0))
}

// keepTime is how long what a stop has spared waits for the start that was to
// follow it.
const keepTime = 10 * time.Second

// releaseAfter lets go of what a stop has spared, unless the container is
// started before. turn is held.
func (e *Engine) releaseAfter(l *life, wait time.Duration) {
	ctx, cancel := context.WithCancel(e.ctx)
	l.held.timer = cancel
	e.goDo(func() {
		defer cancel()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		l.turn.Lock()
		defer l.turn.Unlock()
		c, _, removed := l.look()
		if ctx.Err() == nil && !removed && c.Held && !c.Status.Up() {
			e.releaseKept(l)
		}
	})
}

// releaseKept lets go of what a stop has spared. turn is held.
func (e *Engine) releaseKept(l *life) {
	e.release(l)
	e.persist(l)
}

// restartAfter starts the container when the back-off is over. turn is held.
func (e *Engine) restartAfter(l *life, wait time.Duration) {
	ctx, cancel := context.WithCancel(e.ctx)
	l.held.timer = cancel
	e.goDo(func() {
		defer cancel()
		select {
		case <-time.After(wait):
			e.backoffOver(ctx, l)
		case <-ctx.Done():
		}
	})
}

func (e *Engine) backoffOver(ctx context.Context, l *life) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if c, _, _ := l.look(); ctx.Err() != nil || c.Status.State != spec.StateRestarting {
		return // stopped, started or removed meanwhile
	}
	l.held.timer = nil
	if err := e.begin(e.ctx, l, health.BackoffOver); err != nil {
		e.log.Warn("container is not restarted", "container", l.name(), "err", err)
		if e.ctx.Err() == nil {
			e.retry(l)
		}
		return
	}
	e.tell(l, "restart")
	e.goDo(func() { e.rejoin(e.ctx, l) })
}

// retry asks the policy again after a start of its own that failed. turn is
// held.
func (e *Engine) retry(l *life) {
	var wait time.Duration
	c := l.set(func(c *condition) {
		c.Restart.Phase = health.Running // it was about to be
		c.Restart, wait = health.NextRestart(l.rec.Blueprint.Restart, c.Restart,
			health.Input{Kind: health.End, Code: c.Status.ExitCode})
		if c.Restart.Phase == health.Waiting {
			c.Status.State = spec.StateRestarting
		}
	})
	e.persist(l)
	if c.Restart.Phase == health.Waiting {
		e.restartAfter(l, wait)
	}
}

// release is the inverse of acquire and launch: it lets go of everything that
// the container holds, whatever there is of it. turn is held.
func (e *Engine) release(l *life) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), killTime)
	defer cancel()
	fault.Point("engine:release")
	defer fault.Point("engine:released")
	l.stopTimer()
	l.stopProbes()
	l.held.closePIDFD()
	l.leaveNothing()
	e.zone.Drop(l.id)
	if l.held.resolver != nil {
		l.held.resolver()
		l.held.resolver = nil
	}
	errs := []error{e.unpublish(ctx, l), e.quitMonitor(ctx, l), e.dropSockets(l), e.awaitMonitorEnd(ctx, l)}
	if l.held.netns != nil {
		l.held.netns.Close()
		l.held.netns = nil
	}
	errs = append(errs, again(ctx, func() error { return e.group(l).Remove(ctx) }))
	l.held.plugged = false
	l.set(func(c *condition) {
		c.Held = false
		c.Status.Ports = nil
	})
	errs = append(errs, e.unmountVolumes(l))
	err := errors.Join(errs...)
	if err != nil {
		e.log.Error("something of a container is left", "container", l.name(), "err", err)
	}
	l.held.free = err == nil
}

func (e *Engine) removeGroup(l *life) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), killTime)
	defer cancel()
	if err := e.group(l).Remove(ctx); err != nil {
		e.log.Error("control group is left", "container", l.name(), "err", err)
	}
}

// quitMonitor has the monitor of a container that has ended end, whether we are
// connected to it or an engine before us was. turn is held.
func (e *Engine) quitMonitor(ctx context.Context, l *life) error {
	m := l.held.monitor
	if m == nil && l.held.monitorEnded == nil && e.monitorThere(l) {
		// One that refuses is leaving already.
		m, _ = container.Connect(e.place, l.id, func(wire.MonitorExit) {})
	}
	if m != nil {
		l.held.monitor = nil // follow knows that this end is meant
		defer m.Close()
		return e.askToQuit(ctx, l, m)
	}
	return nil
}

// askToQuit ends a monitor. It refuses while a container runs that an engine
// before us had it start at its own end: nobody knows of that run, so it is
// killed. turn is held.
func (e *Engine) askToQuit(ctx context.Context, l *life, m *container.Monitor) error {
	for {
		err := m.Quit(ctx)
		var refused *wire.RemoteError
		if err == nil || errors.Is(err, wire.ErrClosed) {
			return nil
		}
		if !errors.As(err, &refused) {
			return err
		}
		if err := e.group(l).Kill(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// awaitMonitorEnd waits until the process of a monitor that was asked to quit
// is gone: the next start needs its lock. turn is held.
func (e *Engine) awaitMonitorEnd(ctx context.Context, l *life) error {
	ended := l.held.monitorEnded
	l.held.monitorEnded = nil
	if ended != nil {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for e.monitorThere(l) { // another process's child: its lock tells
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
