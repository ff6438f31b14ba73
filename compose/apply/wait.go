package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

// wait waits for a dependency's condition. If it cannot come true any more, the
// dependants are not started; an optional one is only told.
func (r *runner) wait(ctx context.Context, step *plan.Step) error {
	r.begin(step)
	status, err := r.backend.WaitContainer(ctx, r.id(step), step.Until)
	if ctx.Err() != nil {
		return err
	}
	var details string // behind the word Error
	switch {
	case err != nil:
		cause := because(step, status, err)
		details = fmt.Sprintf("dependency %s failed to start", step.Service)
		if step.Optional {
			details = fmt.Sprintf("optional dependency %q failed to start: %s", step.Service, cause)
		}
		err = as(err, "dependency failed to start: "+cause)
	case step.Until == spec.UntilExited && status.ExitCode != 0:
		details = fmt.Sprintf("service %q didn't complete successfully: exit %d", step.Service, status.ExitCode)
		err = errors.New(details)
		if step.Optional {
			details = fmt.Sprintf("optional dependency %q didn't complete successfully: exit %d", step.Service, status.ExitCode)
		}
	default:
		r.end(step)
		if step.Until == spec.UntilExited {
			r.ran(step.Target, false)
		}
		return nil
	}
	if step.Optional {
		r.emit(resource(idOf(step), event.Warning, "Skipped: "+details, ""))
		r.warn(details)
		return nil
	}
	r.failed(step, details)
	r.explain(step, status)
	return err
}

// ready waits until a container is healthy, or runs if it has no check. One
// that has ended with 0 is done, if its policy lets it be.
func (r *runner) ready(ctx context.Context, step *plan.Step) error {
	r.begin(step)
	waiting, cancel := ctx, func() {}
	if limit := r.options.WaitTimeout; limit > 0 {
		waiting, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("application not healthy after %s", limit))
	}
	defer cancel()
	status, err := r.backend.WaitContainer(waiting, r.id(step), spec.UntilHealthy)
	if errors.Is(err, spec.ErrNoHealth) {
		status, err = r.settled(waiting, r.id(step))
	}
	switch {
	case err == nil:
		r.end(step)
		return nil
	case ctx.Err() != nil:
		return err
	case waiting.Err() != nil:
		err = context.Cause(waiting)
		r.failed(step, err.Error())
		r.explain(step, status)
		return err
	case errors.Is(err, spec.ErrNotRunning) && status.State == spec.StateExited && status.ExitCode == 0 && !status.StoppedByUser:
		r.ran(step.Target, false)
		r.endAs(step, "Exited")
		return nil
	}
	cause := because(step, status, err)
	r.failed(step, cause)
	r.explain(step, status)
	return as(err, cause)
}

// settle is how long a container without a check must have run to count as
// ready: one with a mistake in its configuration starts well and ends at once.
// docker compose looks for the first time after as long.
const settle = 500 * time.Millisecond

// settled waits until a container has run for a moment.
func (r *runner) settled(ctx context.Context, id string) (spec.Status, error) {
	status, err := r.backend.WaitContainer(ctx, id, spec.UntilRunning)
	left := min(settle-time.Since(status.StartedAt), settle) // the clock may have been set back
	if err != nil || left <= 0 {
		return status, err
	}
	moment, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	// It ends by the moment, or because the container does: the next wait tells.
	_, _ = r.backend.WaitContainer(moment, id, spec.UntilExited)
	return r.backend.WaitContainer(ctx, id, spec.UntilRunning)
}

// because words the end of a wait as docker compose does.
func because(step *plan.Step, status spec.Status, err error) string {
	switch {
	case errors.Is(err, spec.ErrUnhealthy):
		return fmt.Sprintf("container %s is unhealthy", step.Target)
	case errors.Is(err, spec.ErrNoHealth):
		return fmt.Sprintf("container %s has no healthcheck configured", step.Target)
	case errors.Is(err, spec.ErrNotRunning):
		return fmt.Sprintf("container %s exited (%d)", step.Target, status.ExitCode)
	}
	return err.Error()
}

// as gives an error another text and keeps its sentinel.
func as(err error, text string) error { return spec.FromCode(spec.Code(err), text) }

// explain tells what is known about a container that failed, and names it as a
// culprit.
func (r *runner) explain(step *plan.Step, status spec.Status) {
	r.blame(r.id(step))
	if status.OOMKilled {
		r.warn(fmt.Sprintf("container %s was out of memory", step.Target))
	} else if status.Reason != "" {
		r.warn(fmt.Sprintf("container %s: %s", step.Target, status.Reason))
	}
	if output := strings.TrimSpace(status.ProbeOutput); output != "" && status.Health == spec.HealthUnhealthy {
		r.warn(fmt.Sprintf("container %s: the last probe said: %s", step.Target, output))
	}
}
