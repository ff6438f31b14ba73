package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// RunRequest asks for a one-off container. What the service depends on is
// brought up first. The result's Output is the container's id.
type RunRequest struct {
	Project *model.Project `json:"project"`
	// Run says what is different from the service. Its Slug is made of the
	// operation's id. Without Start the container is left created, so that a
	// client attaches before it starts it.
	Run           state.Run       `json:"run"`
	NoDeps        bool            `json:"noDeps,omitempty"`
	RemoveOrphans bool            `json:"removeOrphans,omitempty"`
	Pull          string          `json:"pull,omitempty"`
	Build         string          `json:"build,omitempty"`
	Timeout       *time.Duration  `json:"timeout,omitempty"`
	Registries    spec.Registries `json:"registries,omitzero"`
	Defaults      state.Defaults  `json:"defaults,omitzero"`
}

func (c *Compose) run(ctx context.Context, op Operation, r RunRequest) (work, error) {
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	slug := sha256.Sum256([]byte(op.ID))
	r.Run.Slug = hex.EncodeToString(slug[:])
	want, err := state.WantRun(r.Project, r.Run, state.Options{NoDeps: r.NoDeps, Defaults: r.Defaults, Version: c.Version})
	if err != nil {
		return work{}, err
	}
	up := UpRequest{RemoveOrphans: r.RemoveOrphans, Pull: r.Pull, Build: r.Build, Timeout: r.Timeout}
	policy, err := up.policy(op)
	if err != nil {
		return work{}, err
	}
	p, err := c.diff(ctx, want, policy)
	if err != nil {
		return work{}, err
	}
	name := want.OneOff.Blueprint.Name
	return work{
		plan: p,
		options: apply.Options{
			Registries: r.Registries,
			Prepare:    func(ctx context.Context) error { return c.keep(ctx, r.Project) },
		},
		output: func(done apply.Result) (string, []string) { return oneOffID(p, done, name) },
	}, nil
}

// oneOffID finds the one-off container: made by this run, or by the one that
// was interrupted.
func oneOffID(p *plan.Plan, done apply.Result, name string) (string, []string) {
	id := done.Created[name]
	if id == "" {
		id = p.IDs[name]
	}
	if id == "" {
		return "", nil
	}
	return id, []string{id}
}

// Reap removes one-off containers that have ended and were to go then (run
// --rm). The daemon calls it when a container ends, and at its start.
func (c *Compose) Reap(ctx context.Context, project string) error {
	containers, err := c.Backend.Containers(ctx, project)
	if err != nil {
		return err
	}
	for _, container := range containers {
		b := container.Blueprint
		if b.Labels[state.LabelRemove] != "true" || b.Labels[state.LabelOneOff] != "True" ||
			container.Status.State != spec.StateExited {
			continue
		}
		if err := c.Backend.RemoveContainer(ctx, b.ID, spec.Remove{Volumes: true}); err != nil {
			return err
		}
	}
	return nil
}
