package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	// exitsBuffer is how many ends of one container may wait to be seen to:
	// its next start waits for that, so there is one at most.
	exitsBuffer = 4
	// lostCode is the exit code where nobody saw the end.
	lostCode = 137
	// killTime bounds how long the kernel may take to end processes.
	killTime = 10 * time.Second
)

// errLeaving: a monitor holds its lock and cannot be used any more, or not yet.
var errLeaving = errors.New("its monitor is leaving")

// startMonitor starts the container's monitor and connects to it; one that is
// there already, left by another engine, is taken over.
//
//	start ── lock free ──▶ connect
//	  ▲ │ lock held
//	  │ ▼
//	  │ connect, ask for status ── answered ──▶ taken over
//	  └── refused or ended: it has closed its socket and lets go of its lock
//
// turn is held.
func (e *Engine) startMonitor(l *life) error {
	l.held.free = false
	ctx, cancel := context.WithTimeout(e.ctx, killTime)
	defer cancel()
	for {
		err := e.tryMonitor(ctx, l)
		if !errors.Is(err, errLeaving) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// tryMonitor is one round of startMonitor. turn is held.
func (e *Engine) tryMonitor(ctx context.Context, l *life) error {
	ended, err := e.spares.become(l.id)
	if errors.Is(err, wire.ErrMonitorThere) {
		return e.takeOver(ctx, l)
	}
	if err != nil {
		return err
	}
	l.held.monitorEnded, l.held.gated = ended, true
	return e.connectMonitor(l)
}

// takeOver connects to a monitor that is there and sees whether it answers.
// turn is held.
func (e *Engine) takeOver(ctx context.Context, l *life) error {
	l.held.gated = false
	if err := e.connectMonitor(l); err != nil {
		return fmt.Errorf("%w: %w", errLeaving, err)
	}
	m := l.held.monitor
	_, netns, err := m.Status(ctx)
	container.CloseFiles([]*os.File{netns})
	if err != nil {
		l.held.monitor = nil
		m.Close()
		return fmt.Errorf("%w: %w", errLeaving, err)
	}
	return nil
}

// connectMonitor connects and follows what the monitor tells. turn is held.
func (e *Engine) connectMonitor(l *life) error {
	exits := make(chan wire.MonitorExit, exitsBuffer)
	m, err := container.Connect(e.place, l.id, func(x wire.MonitorExit) {
		select {
		case exits <- x:
		default: // the monitor's status still has it
		}
	})
	if err != nil {
		return err
	}
	l.held.monitor = m
	e.goDo(func() { e.follow(l, m, exits) })
	return nil
}

// follow sees to the ends that a monitor tells, and to its own.
func (e *Engine) follow(l *life, m *container.Monitor, exits <-chan wire.MonitorExit) {
	for {
		select {
		case x := <-exits:
			e.exited(l, x)
		case <-m.Done():
			for len(exits) > 0 {
				e.exited(l, <-exits)
			}
			e.monitorGone(l, m)
			return
		case <-e.ctx.Done():
			return // detach closes the connection
		}
	}
}

// exited takes in the end of a run.
func (e *Engine) exited(l *life, x wire.MonitorExit) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if e.ctx.Err() == nil {
		e.end(l, x)
	}
}

// monitorGone finds out what became of a container whose monitor's connection
// has ended.
func (e *Engine) monitorGone(l *life, m *container.Monitor) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.held.monitor != m || e.ctx.Err() != nil {
		return // released, or we are leaving
	}
	m.Close()
	l.held.monitor = nil
	c, _, _ := l.look()
	if c.Run == 0 || !c.Status.Up() {
		return
	}
	if err := e.settle(l, c); err != nil && e.ctx.Err() == nil {
		e.log.Error("container cannot be followed", "container", l.name(), "err", err)
	}
}

// settle brings a container that should run, and whose monitor is not
// connected, to a state that is true: connected again, or ended. It does nothing
// when the engine is being closed. turn is held.
func (e *Engine) settle(l *life, c condition) error {
	lock, err := folder.TryLockFile(e.place.MonitorLock(l.id), folder.Exclusive)
	switch {
	case errors.Is(err, folder.ErrLocked): // it lives
		if err := e.adopt(l); err == nil {
			return nil
		}
	case err != nil:
		return err
	default: // it is gone, and turn keeps the next from being started
		if err := lock.Unlock(); err != nil {
			return err
		}
	}
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx) // it was not heard out: the next engine asks again
	}
	l.leaveNothing()
	if x, ok := e.exitRecord(l, c.Run); ok {
		e.end(l, x)
		return nil
	}
	ctx, cancel := context.WithTimeout(e.ctx, killTime)
	defer cancel()
	if err := e.group(l).Kill(ctx); err != nil {
		return fmt.Errorf("cannot end %s, whose monitor is lost: %w", l.name(), err)
	}
	e.end(l, wire.MonitorExit{ID: l.id, StartedAt: c.Run, ExitedAt: time.Now().UnixNano(), Code: lostCode, Reason: "monitor lost"})
	return nil
}

// exitRecord reads how a run ended, if its monitor wrote it down at this boot.
func (e *Engine) exitRecord(l *life, run int64) (x wire.MonitorExit, ok bool) {
	data, err := os.ReadFile(e.place.ExitRecord(l.id))
	if err != nil || json.Unmarshal(data, &x) != nil {
		return x, false
	}
	return x, x.StartedAt == run && x.BootID == e.bootID
}

// adopt connects to a monitor that lives and takes over what it says. turn is
// held.
func (e *Engine) adopt(l *life) error {
	err := e.connectMonitor(l)
	for end := time.Now().Add(returnTime); err != nil && e.monitorLives(l) && time.Now().Before(end); time.Sleep(returnPause) {
		err = e.connectMonitor(l) // it listens anew once it sees that the run folder was emptied
	}
	if err != nil {
		return err
	}
	m := l.held.monitor
	status, netns, err := m.Status(e.ctx)
	if err != nil {
		l.held.monitor = nil
		m.Close()
		return err
	}
	if netns != nil && (l.held.netns != nil || l.rec.Blueprint.NetworkMode == modeHost) {
		netns.Close()
	} else if netns != nil {
		l.held.netns = netns
	}
	if c, _, _ := l.look(); c.unknownRun(status.StartedAt) { // its engine died before it noted that
		e.noteRun(l, status.StartedAt)
	}
	switch {
	case status.Running:
		l.held.pid, l.held.init = status.PID, status.Init
		l.held.openPIDFD()
		l.held.adopted = true
	case status.Exit != nil:
		l.held.plugged, l.held.adopted = true, true
		e.keepOutput(l)
		e.end(l, *status.Exit) // no-op for a run that has been seen to
	}
	return nil
}

// returnTime is how long a monitor that lives is waited for until it can be
// reached, returnPause how often that is tried.
const (
	returnTime  = 20 * time.Second
	returnPause = 10 * time.Millisecond
)

// monitorLives reports whether the parent of a process of the container is its
// monitor, whatever stands in the run folder.
func (e *Engine) monitorLives(l *life) bool {
	pids, err := e.processes(l.id)
	return err == nil && slices.ContainsFunc(pids, func(pid int) bool { return l.monitorOf(pid) != 0 })
}

// monitorOf is the parent of a process of the container if that is its monitor,
// else 0: proc(5), status and cmdline.
func (l *life) monitorOf(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
	text, _, _ := strings.Cut(rest, "\n")
	parent, err := strconv.Atoi(text)
	if err != nil || !wire.IsRole(parent, wire.RoleMonitor, short(l.id)) {
		return 0
	}
	return parent
}

// attention is how often it is looked, while a change of a container is waited for,
// whether its monitor could tell it.
const attention = 2 * time.Second

// tendMonitor has a monitor that somebody has stopped go on: it would not tell
// that its container has ended.
func (e *Engine) tendMonitor(l *life) {
	if !l.turn.TryLock() {
		return // a transition is under way, which asks the monitor itself
	}
	pid := l.held.pid
	l.turn.Unlock()
	if pid != 0 {
		wire.LetGoOn(l.monitorOf(pid))
	}
}
