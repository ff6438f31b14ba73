package compose

import (
	"context"
	"fmt"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// PullRequest asks for the images of services.
type PullRequest struct {
	Project  *model.Project `json:"project"`
	Services []string       `json:"services,omitempty"`
	// Policy is "", always or missing.
	Policy              string          `json:"policy,omitempty"`
	IgnoreBuildable     bool            `json:"ignoreBuildable,omitempty"`
	IgnoreFailures      bool            `json:"ignoreFailures,omitempty"`
	IncludeDependencies bool            `json:"includeDependencies,omitempty"`
	Registries          spec.Registries `json:"registries,omitzero"`
}

func (c *Compose) pull(ctx context.Context, op Operation, r PullRequest) (work, error) {
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	if r.Policy != "" && r.Policy != "always" && r.Policy != "missing" {
		return work{}, fmt.Errorf("invalid --policy option %q", r.Policy)
	}
	want, err := state.Want(r.Project, state.Options{Services: r.Services, Version: c.Version})
	if err != nil {
		return work{}, err
	}
	actual, err := state.Observe(ctx, c.Backend, op.Project, want.References())
	if err != nil {
		return work{}, err
	}
	p, err := plan.Pull(want, actual, plan.PullOptions{
		Policy: r.Policy, IgnoreBuildable: r.IgnoreBuildable,
		IgnoreFailures: r.IgnoreFailures, Dependencies: r.IncludeDependencies,
	})
	return work{plan: p, options: apply.Options{Registries: r.Registries}}, err
}

// PushRequest asks to send the images that services build to their registries.
type PushRequest struct {
	Project             *model.Project  `json:"project"`
	Services            []string        `json:"services,omitempty"`
	IgnoreFailures      bool            `json:"ignoreFailures,omitempty"`
	IncludeDependencies bool            `json:"includeDependencies,omitempty"`
	Registries          spec.Registries `json:"registries,omitzero"`
}

func (c *Compose) push(_ context.Context, op Operation, r PushRequest) (work, error) {
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	want, err := state.Want(r.Project, state.Options{Services: r.Services, Version: c.Version})
	if err != nil {
		return work{}, err
	}
	p, err := plan.Push(want, plan.PushOptions{IgnoreFailures: r.IgnoreFailures, Dependencies: r.IncludeDependencies})
	return work{plan: p, options: apply.Options{Registries: r.Registries}}, err
}

// BuildRequest asks to build the images of services.
type BuildRequest struct {
	Project  *model.Project `json:"project"`
	Services []string       `json:"services,omitempty"`
	NoCache  bool           `json:"noCache,omitempty"`
	// Pull asks the registry for base images also when they are there.
	Pull                bool              `json:"pull,omitempty"`
	Args                map[string]string `json:"args,omitempty"`
	IncludeDependencies bool              `json:"includeDependencies,omitempty"`
	// SSH maps an id to an agent's socket or a key's file, absolute.
	SSH map[string]string `json:"ssh,omitempty"`
	// Push sends what was built to its registry.
	Push       bool            `json:"push,omitempty"`
	Registries spec.Registries `json:"registries,omitzero"`
}

func (c *Compose) build(ctx context.Context, op Operation, r BuildRequest) (work, error) {
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	want, err := state.Want(r.Project, state.Options{Services: r.Services, Version: c.Version})
	if err != nil {
		return work{}, err
	}
	actual, err := state.Observe(ctx, c.Backend, op.Project, want.References())
	if err != nil {
		return work{}, err
	}
	p, err := plan.Build(want, actual, plan.BuildOptions{
		NoCache: r.NoCache, Pull: r.Pull, Args: r.Args, Dependencies: r.IncludeDependencies, SSH: r.SSH, Push: r.Push,
	})
	if err == nil && p.Empty() {
		p.Warnings = append(p.Warnings, "No services to build")
	}
	return work{plan: p, options: apply.Options{Registries: r.Registries}}, err
}
