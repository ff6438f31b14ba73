package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// recoverers is how many containers are looked at at once.
const recoverers = 4

// recover makes one of what the store says and what the machine has.
func (e *Engine) recover() error {
	fault.Point("recover:begin")
	defer fault.Point("recover:end")
	if err := e.store.Sweep(); err != nil {
		return err
	}
	if err := e.load(); err != nil {
		return err
	}
	kept, err := e.cfg.Keeper.List(e.ctx)
	if err != nil {
		return err
	}
	if err := e.keepAgain(kept); err != nil {
		e.log.Error("ports of the proxy are not kept", "err", err)
	}
	if err := e.adoptShield(kept[shieldHolder]); err != nil {
		e.log.Error("the shield of an earlier build stays", "err", err)
	}
	delete(kept, shieldHolder)
	lives := e.all()
	for _, l := range lives {
		e.noteRules(l)
		e.noteNames(l)
	}
	if err := e.standNetworks(); err != nil {
		e.log.Error("networks do not stand", "err", err)
	}
	fault.Point("recover:resume")
	e.resumeAll(lives, kept)
	fault.Point("recover:collect")
	if err := e.proxy.begin(e.ctx); err != nil {
		e.log.Error("proxy does not serve its ports", "err", err)
	}
	if err := e.collect(kept); err != nil {
		e.log.Error("remains are not all removed", "err", err)
	}
	e.goDo(e.rejoinAll) // the engine before us may not have come to it
	return nil
}

// noteNames makes the names of a container that was up known before anybody's
// questions are answered: those that waited in their sockets for us must not be
// told that it does not exist. What has become of it is found out after that.
func (e *Engine) noteNames(l *life) {
	if c, _, _ := l.look(); c.Held && c.BootID == e.bootID && named(c.Status) {
		e.announce(l, c.Places, true)
	}
}

// named reports whether a container in that state is found by its names.
func named(s spec.Status) bool { return s.State == spec.StateRunning || s.State == spec.StatePaused }

// noteRules takes the firewall elements of a container that was up into the
// state of the table.
func (e *Engine) noteRules(l *life) {
	c, _, _ := l.look()
	if !c.Held || c.BootID != e.bootID {
		return
	}
	l.held.guests = e.guests(l, c.Places)
	e.rules.note(firewall.State{Guests: l.held.guests})
	for _, p := range c.Places {
		if p.Published && len(c.Status.Ports) > 0 {
			l.held.published = elements(c.Status.Ports, p)
			e.rules.note(firewall.State{Ports: l.held.published})
		}
	}
}

// standNetworks makes sure of all bridges and of the table.
func (e *Engine) standNetworks() (err error) {
	if len(e.networks) == 0 && e.newerStands {
		return nil // what we do not know may stand by the rules that there are
	}
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if len(e.networks) == 0 {
		e.lowerShield()
		return errors.Join(e.rules.ensure(), lock.Unguard(e.host, e.place.Tag), e.releaseUnused(lock))
	}
	errs := []error{lock.Forward(e.host, e.place.Tag)}
	if e.lastIPv6() {
		errs = append(errs, lock.Release6(e.host, e.place.Tag))
	} else {
		errs = append(errs, lock.Forward6(e.host, e.place.Tag))
	}
	var wanted []firewall.Network
	for _, b := range e.networks {
		if b.newer == nil {
			errs = append(errs, e.ensureLink(b))
		}
		wanted = append(wanted, b.wanted()...)
	}
	e.rules.note(firewall.State{Networks: wanted})
	if len(wanted) == 0 || !e.rules.table.Shielded() {
		e.lowerShield() // of the engine before us, which may have had other rules
	}
	return errors.Join(append(errs, e.widenShield(wanted), lock.Unguard(e.host, e.place.Tag), e.rules.ensure())...)
}

// resumeAll takes up every container's life, a few at a time.
func (e *Engine) resumeAll(lives []*life, kept map[string]map[string]*os.File) {
	next := make(chan *life)
	var workers sync.WaitGroup
	for range recoverers {
		workers.Go(func() {
			for l := range next {
				l.turn.Lock()
				if err := e.resume(l, kept[l.id]); err != nil {
					e.log.Error("container is not taken up", "container", l.name(), "err", err)
				}
				l.turn.Unlock()
			}
		})
	}
	for _, l := range lives {
		next <- l
	}
	close(next)
	workers.Wait()
}

// resume takes up a container's life where the engine before us left it. turn
// is held.
func (e *Engine) resume(l *life, kept map[string]*os.File) error {
	l.held.sockets = kept
	e.unwatch(l)
	c, _, _ := l.look()
	switch {
	case c.BootID != e.bootID && (c.Held || c.Status.Up()):
		e.rebooted(l)
		return nil
	case l.newer != nil:
		return e.attend(l)
	case !c.Held && !c.Status.Up():
		if len(kept) > 0 || e.group(l).Exists() || e.monitorThere(l) {
			e.releaseRemains(l)
		}
		return nil
	}
	if err := e.adopt(l); err != nil {
		e.log.Debug("monitor is not there", "container", l.name(), "err", err)
	}
	c, _, _ = l.look()
	switch {
	case (c.Status.State == spec.StateRunning || c.Status.State == spec.StatePaused) && l.held.monitor == nil:
		l.held.plugged = true // what there is of it is released by settle
		return e.settle(l, c)
	case c.Status.State == spec.StateRunning:
		err := e.replug(l, c)
		l.stopProbes()
		e.probe(l)
		return err
	case c.Status.State == spec.StatePaused: // or was about to be
		return errors.Join(e.replug(l, c), e.group(l).Freeze(e.ctx))
	case c.Status.State == spec.StateRestarting:
		return e.resumeBackoff(l, c)
	case c.Status.State == spec.StateExited && !c.Held:
		return nil // it ended meanwhile, and adopt has seen to that
	}
	// A start was under way and had not come to its end: whoever asked for
	// it asks again.
	e.releaseRemains(l)
	return nil
}

// rebooted notes that a container ended with the machine.
func (e *Engine) rebooted(l *life) {
	l.set(func(c *condition) {
		if c.Status.Up() {
			c.Status.State, c.Status.ExitCode, c.Status.Reason = spec.StateExited, lostCode, "the machine was restarted"
			c.Status.ExitedAt = time.Now()
		}
		c.Held, c.Status.Ports, c.Status.Health = false, nil, spec.HealthNone
		c.Restart.Phase = health.Idle
	})
	e.persist(l)
}

func (e *Engine) releaseRemains(l *life) {
	if l.held.sockets == nil {
		l.held.sockets = map[string]*os.File{}
	}
	e.release(l)
	e.persist(l)
}

// monitorThere reports whether a monitor of the container lives. turn is held.
func (e *Engine) monitorThere(l *life) bool {
	lock, err := folder.TryLockFile(e.place.MonitorLock(l.id), folder.Exclusive)
	if err != nil {
		return errors.Is(err, folder.ErrLocked)
	}
	defer lock.Unlock()
	// What one that was killed left, or TryLockFile made.
	if err := ignoreMissing(os.Remove(e.place.MonitorLock(l.id))); err != nil {
		e.log.Warn("lock of a monitor is left", "container", l.name(), "err", err)
	}
	return false
}

// replug takes up the network side of a container that is up. turn is held.
func (e *Engine) replug(l *life, c condition) error {
	l.held.plugged = true
	e.announce(l, c.Places, named(c.Status))
	errs := []error{e.answerNames(e.ctx, l), e.reserveAgain(l, c)}
	for _, p := range c.Places {
		if p.Published {
			errs = append(errs, e.proxyPorts(e.ctx, l, c.Status.Ports, p))
		}
	}
	return errors.Join(errs...)
}

// reserveAgain binds those of the container's ports that the keeper does not
// have any more. turn is held.
func (e *Engine) reserveAgain(l *life, c condition) error {
	missing := map[string]*os.File{}
	for _, p := range c.Status.Ports {
		addrs, err := hostAddresses(p)
		if err != nil {
			return err
		}
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool {
			return l.held.sockets[socketName(p.Protocol, a, p.HostPort)] != nil
		})
		number := p.HostPort
		if len(addrs) == 0 {
			continue
		}
		if err := bindAll(addrs, p.Protocol, &number, missing); err != nil && !noIPv6(err) {
			return fmt.Errorf("cannot reserve port %s again: %w", portText(p), err)
		}
	}
	return e.hold(e.ctx, l, missing)
}

// resumeBackoff goes on waiting for the container's next start. turn is held.
func (e *Engine) resumeBackoff(l *life, c condition) error {
	wait := backoffLeft(c.Restart.Backoff, c.Status.ExitedAt, time.Now())
	l.set(func(c *condition) { c.Restart.Phase = health.Waiting })
	if l.held.monitor == nil || l.held.netns == nil && l.rec.Blueprint.NetworkMode != modeHost {
		// Its namespace is gone: the next start makes all anew.
		e.releaseRemains(l)
	} else if err := e.replug(l, c); err != nil {
		return err
	}
	e.restartAfter(l, wait)
	return nil
}

// backoffLeft is what is left of a back-off that began at a time by the wall
// clock, whatever that has been set to since: never more than all of it.
func backoffLeft(whole time.Duration, began, now time.Time) time.Duration {
	return min(max(whole-now.Sub(began), 0), whole)
}

// noteRun takes in a start that the engine before us did not live to note.
// turn is held.
func (e *Engine) noteRun(l *life, startedAt int64) {
	l.set(func(c *condition) {
		switch c.Restart.Phase {
		case health.Running: // as was noted before it started
		case health.Waiting:
			l.begun(c, health.BackoffOver)
		default:
			l.begun(c, health.Start)
		}
		c.Run, c.Held = startedAt, true
		s := &c.Status
		s.Begun(time.Unix(0, startedAt))
		s.Restarts, s.Health = c.Restart.Count, spec.HealthNone
		if _, ok := l.check(); ok {
			s.Health = spec.HealthStarting
		}
	})
	e.persist(l)
}

// detach lets go of what this engine has of a container, which lives on.
func (e *Engine) detach(l *life) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.stopTimer()
	l.stopProbes()
	l.held.closePIDFD()
	l.leaveNothing()
	if l.held.resolver != nil {
		l.held.resolver()
		l.held.resolver = nil
	}
	if l.held.monitor != nil {
		l.held.monitor.Close()
		l.held.monitor = nil
	}
	container.CloseFiles(append(slices.Collect(maps.Values(l.held.sockets)), l.held.netns))
	l.held.sockets, l.held.netns = nil, nil
}

// collectTime bounds the removal of one thing that belongs to nobody.
func (e *Engine) collectContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, killTime)
}
