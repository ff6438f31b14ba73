package engine

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/mycompose/mycompose/engine/spec"
)

// rejoinAll does what rejoin does for each owner that is up.
func (e *Engine) rejoinAll() {
	for _, l := range e.all() {
		if l.status().Up() {
			e.rejoin(e.ctx, l)
		}
	}
}

// rejoin takes those that share a namespace of l, which has just been started,
// into the one that it has now: one that runs in an older one is started
// again, and one that its policy keeps up and that ended for want of l is
// started. They may be another project's, whose commands nobody has given. What
// fails is logged, as l itself is right.
func (e *Engine) rejoin(ctx context.Context, l *life) {
	for _, f := range e.sharers(l, followersKey) {
		shared := e.sharedWith(f, l)
		if len(shared) == 0 || f.newer != nil {
			continue
		}
		stop, start := e.behind(f, l, shared)
		var err error
		if stop {
			err = e.StopContainer(ctx, f.id, spec.Stop{})
		}
		if start && err == nil {
			err = e.StartContainer(ctx, f.id)
		}
		if err != nil && e.ctx.Err() == nil && !errors.Is(err, spec.ErrNotFound) {
			e.log.Error("container does not follow the one whose namespace it shares", "container", f.name(), "err", err)
		}
	}
}

// sharedWith are the keys of the namespaces of owner that a follower is meant to be
// in.
func (e *Engine) sharedWith(f, owner *life) (keys []string) {
	b := f.rec.blueprint()
	for _, n := range b.Namespaces() {
		if n.Owner() == "" {
			continue
		}
		if found, err := e.Find(n.Owner()); err == nil && found.Blueprint.ID == owner.id {
			keys = append(keys, n.Key)
		}
	}
	return keys
}

// behind says what a follower needs to be where its owner is.
func (e *Engine) behind(f, owner *life, shared []string) (stop, start bool) {
	c, _, removed := f.look()
	if removed {
		return false, false
	}
	if !c.Status.Up() {
		p := f.rec.Blueprint.Restart.Policy
		wanted := p == spec.RestartAlways || p == spec.RestartUnlessStopped
		return false, wanted && c.Status.State == spec.StateExited && !c.Status.StoppedByUser
	}
	apart := slices.Contains(shared, keyNetwork) && apartByNetwork(f, owner) || slices.Contains(shared, keyPID) && apartByPID(f, owner)
	return apart, apart
}

func apartByNetwork(f, owner *life) bool {
	its, _, itsErr := f.namespace()
	now, host, err := owner.namespace()
	for _, ns := range []*os.File{its, now} {
		if ns != nil {
			defer ns.Close()
		}
	}
	return itsErr == nil && err == nil && !host && its != nil && !sameFile(its, now)
}

// apartByPID is for a follower that was started behind an owner of an earlier run;
// of that run's own nobody is left, as they end with their first process.
func apartByPID(f, owner *life) bool {
	its, itsErr := f.pidNamespace()
	now, err := owner.pidNamespace()
	for _, ns := range []*os.File{its, now} {
		if ns != nil {
			defer ns.Close()
		}
	}
	return itsErr == nil && err == nil && !sameFile(its, now)
}

func sameFile(a, b *os.File) bool {
	one, errA := a.Stat()
	other, errB := b.Stat()
	return errA != nil || errB != nil || os.SameFile(one, other)
}
