package engine

import (
	"context"
	"errors"
	"os"
	"strings"

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

// rejoin takes those that share the network of l, which has just been started,
// into the namespace that it has now: one that runs in an older one is started
// again, and one that its policy keeps up and that ended for want of l is
// started. They may be another project's, whose commands nobody has given. What
// fails is logged, as l itself is right.
func (e *Engine) rejoin(ctx context.Context, l *life) {
	for _, f := range e.sharers(l, followersKey) {
		word := strings.TrimPrefix(f.rec.Blueprint.NetworkMode, modeContainer)
		if owner, err := e.Find(word); err != nil || owner.Blueprint.ID != l.id || f.newer != nil {
			continue
		}
		stop, start := e.behind(f, l)
		var err error
		if stop {
			err = e.StopContainer(ctx, f.id, spec.Stop{})
		}
		if start && err == nil {
			err = e.StartContainer(ctx, f.id)
		}
		if err != nil && e.ctx.Err() == nil && !errors.Is(err, spec.ErrNotFound) {
			e.log.Error("container does not follow the one whose network it shares", "container", f.name(), "err", err)
		}
	}
}

// behind says what a follower needs to be where its owner is.
func (e *Engine) behind(f, owner *life) (stop, start bool) {
	c, _, removed := f.look()
	if removed {
		return false, false
	}
	if !c.Status.Up() {
		p := f.rec.Blueprint.Restart.Policy
		wanted := p == spec.RestartAlways || p == spec.RestartUnlessStopped
		return false, wanted && c.Status.State == spec.StateExited && !c.Status.StoppedByUser
	}
	its, _, itsErr := f.namespace()
	now, host, err := owner.namespace()
	for _, ns := range []*os.File{its, now} {
		if ns != nil {
			defer ns.Close()
		}
	}
	if itsErr != nil || err != nil || host || its == nil {
		return false, false
	}
	a, errA := its.Stat()
	b, errB := now.Stat()
	apart := errA == nil && errB == nil && !os.SameFile(a, b)
	return apart, apart
}
