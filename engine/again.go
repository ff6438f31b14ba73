package engine

import (
	"context"
	"os"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/wire"
)

// A container that is stopped to be started at once is started in the namespaces
// that it had, with all that is mounted there, and in its control group:
//
//	stop that keeps ─▶ namespaces opened ─▶ signal ─▶ end ─▶ start ─▶ in place
//	                          │              kill,     │        │ not just what a new
//	                          │              OOM,      │        ▼ start would make
//	                          └── refused    monitor   └─10 s─▶ let go ─▶ new ones
//	                                       lost: let go
//
// The descriptors are all that holds them in between: with this engine they go.

// openLeft opens what the run that is to end leaves to the next one, if it can.
// turn is held.
func (e *Engine) openLeft(l *life) {
	if l.held.left != nil || !container.CanLeave(l.rec.Blueprint) || e.lendsPID(l) {
		return
	}
	left, err := container.OpenLeft(l.held.pid, l.held.init)
	if err == nil && l.held.ended() { // what was opened by number may be another's
		left.Close()
		return
	}
	if err != nil {
		e.log.Debug("namespaces are not kept", "container", l.name(), "err", err)
		return
	}
	l.held.left = left
}

// leaveNothing lets go of the namespaces of the last run. turn is held.
func (l *life) leaveNothing() {
	l.held.left.Close()
	l.held.left = nil
}

// launchAgain starts the container in what its last run left. Where that cannot
// be it is let go, started is false, and the container has nothing that a new
// start would not make anew. turn is held.
func (e *Engine) launchAgain(ctx context.Context, l *life) (answer wire.MonitorStarted, started bool, err error) {
	if l.held.left == nil {
		return answer, false, nil
	}
	fault.Point("engine:again")
	monitor := l.held.monitor
	if err := e.acquire(ctx, l); err != nil {
		return answer, false, err
	}
	if c, _, _ := l.look(); monitor != nil && monitor == l.held.monitor && !c.MountsChanged {
		answer, err = e.tryAgain(l)
		if err == nil {
			l.leaveNothing()
			l.set(func(c *condition) { c.Status.InPlace = true })
			return answer, true, nil
		}
		if e.ctx.Err() != nil || monitorLost(err) {
			return answer, false, err
		}
		e.log.Debug("container is not started in place", "container", l.name(), "err", err)
	}
	l.leaveNothing()
	e.removeGroup(l)
	return answer, false, nil
}

// tryAgain prepares the recipe and has the monitor start it. turn is held.
func (e *Engine) tryAgain(l *life) (answer wire.MonitorStarted, err error) {
	b := e.named(l.rec.blueprint())
	mounts, err := e.mounts(l, nil)
	defer closeMounts(mounts)
	if err != nil {
		return answer, err
	}
	process, err := container.Resolve(b, l.rec.Image)
	if err != nil {
		return answer, err
	}
	group := e.group(l)
	procs, err := group.Procs()
	if err != nil {
		return answer, err
	}
	oom, err := group.OOMFile()
	defer container.CloseFiles(append(procs, oom))
	if err != nil {
		return answer, err
	}
	start, err := container.PrepareAgain(container.Inputs{
		Blueprint: b, Process: process, Mounts: mounts, Network: l.held.netns, Cgroups: procs, OOM: oom,
	}, l.held.left, e.confiner)
	if err != nil {
		return answer, err
	}
	defer start.Close()
	return e.askToStart(l, start)
}

// inPlace is what the event of a start says of how it was made.
func (l *life) inPlace() []string {
	if l.status().InPlace {
		return []string{"inPlace", "true"}
	}
	return nil
}

// noteMountsChange notes that what is mounted in a container may not be what we
// have mounted any more.
func (e *Engine) noteMountsChange(l *life) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.set(func(c *condition) { c.MountsChanged = true })
	e.persist(l)
}

// mountNamespace opens the mounts of a container that is up, or those that its
// last run left; nil if there are none. turn is held.
func (l *life) mountNamespace() (*os.File, error) {
	if l.held.left != nil {
		return wire.Duplicate(l.held.left.Mounts())
	}
	c, _, _ := l.look()
	if !named(c.Status) {
		return nil, nil
	}
	ns, err := container.OpenMountNamespace(l.held.pid)
	if err != nil {
		return nil, err
	}
	if l.held.ended() { // what was opened by number may be another's
		ns.Close()
		return nil, errEnding(l)
	}
	return ns, nil
}
