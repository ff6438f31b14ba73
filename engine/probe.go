package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// probeOutput is how much of a probe's output is kept, in bytes.
const probeOutput = 4096

// check is the container's health check, if it has one.
func (l *life) check() (health.Check, bool) {
	return health.Resolve(l.rec.Blueprint.Health, l.rec.Image.Health)
}

// probe begins the probes of a run. turn is held.
func (e *Engine) probe(l *life) {
	check, ok := l.check()
	if !ok {
		return
	}
	l.stopProbes()
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	p := prober{e, l, target{l.held.monitor, l.held.pid, l.held.pidfd}, check}
	e.goDo(func() {
		defer close(done)
		e.probeLoop(ctx, l, p)
	})
	l.held.probes = func() {
		cancel()
		<-done
	}
}

// stopProbes ends the probes. turn is held.
func (l *life) stopProbes() {
	if l.held.probes != nil {
		l.held.probes()
		l.held.probes = nil
	}
}

// probeLoop probes until ctx ends. It needs no turn: the status of the run
// that it belongs to is set only before stopProbes has returned.
func (e *Engine) probeLoop(ctx context.Context, l *life, p prober) {
	c, _, _ := l.look()
	begin := time.Now().Add(-ageOf(p.to.pid, c.Status.StartedAt))
	state := health.Begin()
	if c.Status.Health == spec.HealthHealthy || c.Status.Health == spec.HealthUnhealthy {
		// Taken over from an engine that is gone.
		state = health.Health{Status: c.Status.Health, Succeeded: true}
	}
	for {
		at := time.Now()
		ok, output := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		next, wait := p.check.Next(state, health.Probe{Start: at.Sub(begin), Took: time.Since(at), OK: ok})
		changed := next.Status != state.Status
		state = next
		l.set(func(c *condition) { c.Status.Health, c.Status.ProbeOutput = state.Status, output })
		if changed {
			e.persist(l)
			e.tell(l, "health_status: "+string(next.Status))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// prober runs the probes of one run.
type prober struct {
	e     *Engine
	l     *life
	to    target
	check health.Check
}

// once runs one probe and reports whether it succeeded, with its output.
func (p prober) once(ctx context.Context) (bool, string) {
	fault.Point("probe:begin")
	exit, err := p.run(ctx)
	fault.Point("probe:end")
	output := string(exit.Output)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return false, "no answer within " + p.check.Timeout.String() + "\n" + output
	case err != nil:
		return false, err.Error()
	}
	return exit.Code == 0, output
}

func (p prober) run(ctx context.Context) (wire.MonitorExit, error) {
	args, err := container.HealthCommand(p.check.Test)
	if err != nil {
		return wire.MonitorExit{}, err
	}
	request := spec.Exec{ID: newID(), Container: p.l.id, Args: args}
	if err := p.e.exec(ctx, p.l, p.to, request, probeOutput); err != nil {
		return wire.MonitorExit{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	exit, err := p.to.monitor.WaitExec(waiting, request.ID)
	if err == nil || ctx.Err() != nil || waiting.Err() == nil {
		return exit, err
	}
	if err := p.to.monitor.Signal(ctx, request.ID, int(unix.SIGKILL)); err != nil {
		return wire.MonitorExit{}, err
	}
	exit, err = p.to.monitor.WaitExec(ctx, request.ID)
	return exit, errors.Join(context.DeadlineExceeded, err)
}

// newID is 64 random hex digits.
func newID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
