package apply

import (
	"context"
	"errors"

	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

// hooks runs those after a start or before a stop. A container that has ended
// meanwhile is not told of its stop.
func (r *runner) hooks(ctx context.Context, step *plan.Step) error {
	r.begin(step)
	when := spec.PostStart
	if step.Kind == plan.PreStop {
		when = spec.PreStop
	}
	err := r.backend.RunHooks(ctx, r.id(step), when)
	gone := errors.Is(err, spec.ErrNotRunning) || errors.Is(err, spec.ErrNotFound)
	switch {
	case when == spec.PreStop && (err == nil || gone):
		r.end(step)
		return nil
	case err == nil:
		r.ran(step.Target, true)
		r.end(step)
		return nil
	case ctx.Err() != nil:
		return err
	}
	r.failed(step, err.Error())
	r.blame(r.id(step))
	return err
}
