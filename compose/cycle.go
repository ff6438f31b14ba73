package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

// StartRequest asks to start containers that exist.
type StartRequest struct {
	Services    []string      `json:"services,omitempty"`
	Wait        bool          `json:"wait,omitempty"`
	WaitTimeout time.Duration `json:"waitTimeout,omitempty"`
}

func (c *Compose) start(ctx context.Context, op Operation, r StartRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	if len(actual.Containers) == 0 {
		return work{}, spec.Errorf(spec.ErrNotFound, "no container found for project %q: not found", op.Project)
	}
	p, err := plan.Start(actual, scope, r.Wait)
	return work{plan: p, options: apply.Options{WaitTimeout: r.WaitTimeout}}, err
}

// StopRequest asks to stop containers and keep them.
type StopRequest struct {
	Services []string       `json:"services,omitempty"`
	Timeout  *time.Duration `json:"timeout,omitempty"`
}

func (c *Compose) stop(ctx context.Context, op Operation, r StopRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	p, err := plan.Stop(actual, scope, r.Timeout)
	return work{plan: p}, err
}

// RestartRequest asks to stop and start the same containers.
type RestartRequest struct {
	Services []string       `json:"services,omitempty"`
	NoDeps   bool           `json:"noDeps,omitempty"`
	Timeout  *time.Duration `json:"timeout,omitempty"`
}

func (c *Compose) restart(ctx context.Context, op Operation, r RestartRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	p, err := plan.Restart(actual, scope, plan.RestartOptions{NoDeps: r.NoDeps, Timeout: r.Timeout, Since: op.since()})
	if err != nil {
		return work{}, err
	}
	return work{plan: p}, c.haveImages(ctx, p.Before.Blueprints)
}

// haveImages names the containers whose image is not here any more: its record was
// damaged.
func (c *Compose) haveImages(ctx context.Context, blueprints []spec.Blueprint) error {
	images, err := c.Backend.Images(ctx)
	if err != nil {
		return fmt.Errorf("cannot list images: %w", err)
	}
	here := map[string]bool{}
	for _, image := range images {
		here[image.Digest] = true
	}
	var errs []error
	for _, b := range blueprints {
		if !here[b.ImageDigest] {
			errs = append(errs, spec.Errorf(spec.ErrImageMissing, "cannot restart %s: its image %s (%s) is not here any more; `up` gets or builds it anew", b.Name, b.Image, b.ImageDigest))
		}
	}
	return errors.Join(errs...)
}

// PauseRequest asks to freeze containers, or to let them go on.
type PauseRequest struct {
	Services []string `json:"services,omitempty"`
}

func (c *Compose) pause(ctx context.Context, op Operation, r PauseRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	how := plan.Pause
	if op.Kind == Unpause {
		how = plan.Unpause
	}
	p, err := how(actual, scope)
	return work{plan: p}, err
}

// KillRequest asks to send a signal to running containers.
type KillRequest struct {
	Services []string `json:"services,omitempty"`
	// Signal is "SIGKILL" if empty.
	Signal string `json:"signal,omitempty"`
	// Orphans: also containers of services that the project lacks.
	Orphans bool `json:"orphans,omitempty"`
}

func (c *Compose) kill(ctx context.Context, op Operation, r KillRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	scope.Orphans = r.Orphans
	if r.Signal == "" {
		r.Signal = "SIGKILL"
	}
	p, err := plan.Kill(actual, scope, r.Signal)
	if err == nil && p.Empty() {
		p.Warnings = append(p.Warnings, "No container to kill")
	}
	return work{plan: p}, err
}
