package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// StartContainer starts a container; one that runs is success. One that is
// being stopped is started once it has ended.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	for {
		done, err := e.tryStart(ctx, l)
		if err != nil {
			return err
		}
		if done {
			e.rejoin(ctx, l)
			return nil
		}
		if _, err := e.await(ctx, l, func(c condition) bool { return !c.Status.Up() }); err != nil {
			return fmt.Errorf("cannot start %s: %w", l.name(), err)
		}
	}
}

// tryStart reports done unless the container's end must be waited for.
func (e *Engine) tryStart(ctx context.Context, l *life) (done bool, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, removed := l.look()
	switch {
	case removed:
		return true, spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	case c.Status.State == spec.StatePaused, c.Status.State == spec.StateRunning && !c.Restart.Stopped:
		return true, nil
	case c.Status.State == spec.StateRunning:
		return false, nil
	}
	l.stopTimer()
	return true, e.begin(ctx, l, health.Start)
}

// begin starts the container and everything around it, by a command or by its
// policy. After an error nothing is held. turn is held.
func (e *Engine) begin(ctx context.Context, l *life, why health.InputKind) error {
	e.spares.begin()
	defer e.spares.end()
	l.held.free, l.held.adopted, l.held.pending = false, false, nil
	began := time.Now()
	l.set(func(c *condition) {
		l.begun(c, why)
		c.Held, c.BootID, c.Run = true, e.bootID, 0
	})
	started, err := e.acquireAndLaunch(ctx, l)
	if monitorLost(err) && e.ctx.Err() == nil {
		// Nobody heard of this run: it costs nothing but a second try.
		e.log.Warn("monitor is lost while it starts its container", "container", l.name(), "err", err)
		e.release(l)
		l.set(func(c *condition) { c.Held = true })
		started, err = e.acquireAndLaunch(ctx, l)
	}
	if err == nil {
		e.running(l, started)
		e.log.Debug("container started", "container", l.name(), "took", time.Since(began))
		e.tell(l, "start", l.inPlace()...)
		return nil
	}
	if e.ctx.Err() != nil {
		return err // the next engine finds out what came of it
	}
	e.notStarted(l, err)
	return fmt.Errorf("cannot start %s: %w", l.name(), commandError(err))
}

// begun is what a start means for the policy and for whoever stopped it before.
func (l *life) begun(c *condition, why health.InputKind) {
	c.Restart, _ = health.NextRestart(l.rec.Blueprint.Restart, c.Restart, health.Input{Kind: why})
	c.Status.Restarts = c.Restart.Count
	c.Status.StoppedByUser = false
	c.Status.HooksDue = (c.Status.HooksDue || why == health.Start) && len(l.rec.Blueprint.PostStart) > 0
}

func (e *Engine) acquireAndLaunch(ctx context.Context, l *life) (wire.MonitorStarted, error) {
	if err := errors.Join(e.restoreVolumes(l), e.restoreFolder(l)); err != nil {
		return wire.MonitorStarted{}, err
	}
	if answer, started, err := e.launchAgain(ctx, l); started || err != nil {
		return answer, err
	}
	l.set(func(c *condition) { c.MountsChanged, c.Status.InPlace = false, false })
	// The control group and the root wait for nothing of the rest.
	var ground ground
	var groundErr error
	made := make(chan struct{})
	go func() {
		defer close(made)
		ground, groundErr = e.makeGround(l)
	}()
	monitor := e.beginMonitor(l)
	wiring := e.beginWiring(ctx, l) // the last: it runs first, and takes longest
	<-made
	defer ground.close()
	err := errors.Join(<-monitor, groundErr)
	if err == nil && e.mayOvertake(l) {
		return e.launchBeside(l, ground, wiring)
	}
	if err = errors.Join(err, wiring.wait()); err != nil {
		return wire.MonitorStarted{}, err
	}
	return e.launch(l, ground, l.held.netns, nil)
}

// monitorLost reports whether an error means that a monitor has been killed.
func monitorLost(err error) bool {
	return errors.Is(err, wire.ErrClosed) || errors.Is(err, unix.ECONNREFUSED)
}

// commandError gives the error of a program that cannot be executed its
// sentinel.
func commandError(err error) error {
	if _, ok := wire.StartErrorCode(err); ok {
		return spec.Errorf(spec.ErrCommand, "%v", err)
	}
	return err
}

// running notes a start. turn is held.
func (e *Engine) running(l *life, started wire.MonitorStarted) {
	l.held.pid, l.held.init = started.PID, started.Init
	l.held.openPIDFD()
	l.set(func(c *condition) {
		c.Run = started.StartedAt
		s := &c.Status
		s.Begun(time.Unix(0, started.StartedAt))
		s.Health, s.ProbeOutput = spec.HealthNone, ""
		if _, ok := l.check(); ok {
			s.Health = spec.HealthStarting
		}
	})
	e.persist(l)
	e.probe(l)
	e.letGoWhenReady(l)
}

// notStarted notes a start that failed: its own inverse has been run. turn is
// held.
func (e *Engine) notStarted(l *life, cause error) {
	e.release(l)
	code, isCommand := wire.StartErrorCode(cause)
	if !isCommand {
		code = 128
	}
	l.set(func(c *condition) {
		c.Status.ExitCode, c.Status.Reason = code, cause.Error()
		if c.Status.State != spec.StateCreated {
			c.Status.State = spec.StateExited
		}
		c.Restart.Phase = health.Idle
	})
	e.persist(l)
}

// acquire takes of the machine what the container needs and does not hold yet.
// turn is held.
func (e *Engine) acquire(ctx context.Context, l *life) error {
	monitor, wiring := e.beginMonitor(l), e.beginWiring(ctx, l)
	return errors.Join(<-monitor, wiring.wait())
}

// beginMonitor has the container's monitor started unless it is there. turn is held,
// and stays so until the answer has been received.
func (e *Engine) beginMonitor(l *life) <-chan error {
	there := make(chan error, 1)
	if l.held.monitor != nil {
		there <- nil
		return there
	}
	go func() { there <- e.startMonitor(l) }()
	return there
}

// acquireNetwork makes the container's network. made is for network.Host.Plug.
func (e *Engine) acquireNetwork(ctx context.Context, l *life, made func(*os.File)) error {
	if l.held.plugged {
		c, _, _ := l.look()
		e.announce(l, c.Places, true)
		return nil
	}
	var ports []spec.Port
	if bridged(l.rec.Blueprint) {
		var err error
		if ports, err = e.reserve(ctx, l); err != nil {
			return err
		}
	}
	places, endpoints, err := e.findPlaces(l)
	if err != nil {
		return err
	}
	l.set(func(c *condition) {
		c.Places, c.Status.Ports, c.Status.Endpoints = places, ports, endpointsOf(places)
	})
	e.persist(l) // before anything is made that the next engine must know
	if err := e.plug(ctx, l, endpoints, made); err != nil {
		return err
	}
	if err := e.publish(ctx, l, places, ports); err != nil {
		return err
	}
	if err := e.answerNames(ctx, l); err != nil {
		return err
	}
	l.held.plugged = true
	e.announce(l, places, true)
	return nil
}

func endpointsOf(places []place) []spec.Endpoint {
	var out []spec.Endpoint
	for _, p := range places {
		at := spec.Endpoint{Network: p.Network, MAC: p.MAC}
		if p.Addr.IsValid() {
			at.IPv4 = p.Addr.String()
		}
		if p.Addr6.IsValid() {
			at.IPv6 = p.Addr6.String()
		}
		out = append(out, at)
	}
	return out
}

// groupName names a container's control group.
func (e *Engine) groupName(l *life) string {
	project := l.rec.Blueprint.Project
	if project == "" {
		project = "_"
	}
	return e.groupRoot() + "/" + project + "/" + l.id
}

func (e *Engine) groupRoot() string { return "/mycompose-" + e.place.Tag }

func (e *Engine) group(l *life) *cgroup.Group { return e.cgroups.Group(e.groupName(l)) }

// persist writes the condition; what cannot be written is logged, since the
// machine is as it is.
func (e *Engine) persist(l *life) {
	c, _, removed := l.look()
	if removed || l.newer != nil {
		return
	}
	if err := e.store.Put(store.ContainerStatus, l.id, c, store.Cached); err != nil {
		e.log.Error("status is not stored", "container", l.name(), "err", err)
	}
}

// openPIDFD opens the first process, so that its number is never taken for
// another's.
func (h *held) openPIDFD() {
	h.closePIDFD()
	if fd, err := unix.PidfdOpen(h.pid, 0); err == nil {
		h.pidfd = os.NewFile(uintptr(fd), "pidfd")
	}
}

func (h *held) closePIDFD() {
	if h.pidfd != nil {
		h.pidfd.Close()
		h.pidfd = nil
	}
}
