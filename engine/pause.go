package engine

import (
	"context"
	"fmt"

	"github.com/mycompose/mycompose/engine/spec"
)

// PauseContainer freezes every process of a running container; one that is
// paused is success. Its probes rest until it goes on.
func (e *Engine) PauseContainer(ctx context.Context, id string) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	switch c, _, _ := l.look(); c.Status.State {
	case spec.StatePaused:
		return nil
	case spec.StateRunning:
	default:
		return spec.Errorf(spec.ErrNotRunning, "cannot pause %s: it is not running", l.name())
	}
	l.stopProbes()
	l.starts.Lock()
	defer l.starts.Unlock()
	// Before it is done: an engine that dies in between finds a container that
	// is paused, or one that runs and is said to be, which UnpauseContainer
	// and every end set right.
	l.set(func(c *condition) { c.Status.State = spec.StatePaused })
	e.persist(l)
	if err := e.group(l).Freeze(ctx); err != nil {
		e.goOn(l)
		return fmt.Errorf("cannot pause %s: %w", l.name(), err)
	}
	e.tell(l, "pause")
	return nil
}

// UnpauseContainer lets a paused container go on; one that runs is success.
func (e *Engine) UnpauseContainer(_ context.Context, id string) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	switch c, _, _ := l.look(); c.Status.State {
	case spec.StateRunning:
		return nil
	case spec.StatePaused:
	default:
		return spec.Errorf(spec.ErrNotRunning, "cannot unpause %s: it is not running", l.name())
	}
	if err := e.thaw(l); err != nil {
		return fmt.Errorf("cannot unpause %s: %w", l.name(), err)
	}
	e.tell(l, "unpause")
	return nil
}

// thaw lets a container go on if it is paused. turn is held.
func (e *Engine) thaw(l *life) error {
	if l.status().State != spec.StatePaused {
		return nil
	}
	if err := e.group(l).Thaw(); err != nil {
		return err
	}
	e.goOn(l)
	return nil
}

// goOn notes that a container is paused no more. turn is held.
func (e *Engine) goOn(l *life) {
	l.set(func(c *condition) { c.Status.State = spec.StateRunning })
	e.persist(l)
	e.probe(l)
}
