package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// UpRequest asks to make the containers equal to the project. The zero value
// of each field is docker compose's default.
type UpRequest struct {
	Project  *model.Project `json:"project"`
	Services []string       `json:"services,omitempty"`
	// Scale overrides numbers of replicas by service.
	Scale          map[string]int `json:"scale,omitempty"`
	NoDeps         bool           `json:"noDeps,omitempty"`
	ForceRecreate  bool           `json:"forceRecreate,omitempty"`
	NoRecreate     bool           `json:"noRecreate,omitempty"`
	NoStart        bool           `json:"noStart,omitempty"`
	RemoveOrphans  bool           `json:"removeOrphans,omitempty"`
	IgnoreOrphans  bool           `json:"ignoreOrphans,omitempty"`
	RenewAnonymous bool           `json:"renewAnonymous,omitempty"`
	// RecreateVolumes makes volumes that differ from the file anew; their
	// content is lost.
	RecreateVolumes bool `json:"recreateVolumes,omitempty"`
	// RecreateDependencies makes containers of services that selected ones
	// depend on anew.
	RecreateDependencies bool `json:"recreateDependencies,omitempty"`
	// Wait until all is ready; WaitTimeout bounds that, zero does not.
	Wait        bool          `json:"wait,omitempty"`
	WaitTimeout time.Duration `json:"waitTimeout,omitempty"`
	// Pull is "" or "policy" (the file's policies), always, missing, never or
	// build; Build is "" (what is missing), always or never.
	Pull  string `json:"pull,omitempty"`
	Build string `json:"build,omitempty"`
	// Timeout overrides the time from stop signal to SIGKILL.
	Timeout    *time.Duration  `json:"timeout,omitempty"`
	Registries spec.Registries `json:"registries,omitzero"`
	Defaults   state.Defaults  `json:"defaults,omitzero"`
	// Timings tells what each step took.
	Timings bool `json:"timings,omitempty"`
	// Watch begins to watch the project's files.
	Watch *Watching `json:"watch,omitempty"`
	// Prune removes, once all succeeded, images that were built for the project
	// and have no name any more.
	Prune bool `json:"prune,omitempty"`
}

func (r UpRequest) policy(op Operation) (plan.Policy, error) {
	switch {
	case !slices.Contains([]string{"", "policy", "always", "missing", "never", "build"}, r.Pull):
		return plan.Policy{}, fmt.Errorf("invalid --pull option %q", r.Pull)
	case !slices.Contains([]string{"", "always", "never"}, r.Build):
		return plan.Policy{}, fmt.Errorf("invalid build option %q", r.Build)
	case r.ForceRecreate && r.NoRecreate:
		return plan.Policy{}, errors.New("--force-recreate and --no-recreate are incompatible")
	}
	policy := plan.Policy{
		ForceRecreate: r.ForceRecreate, NoRecreate: r.NoRecreate, NoStart: r.NoStart || op.Kind == Create,
		RemoveOrphans: r.RemoveOrphans, IgnoreOrphans: r.IgnoreOrphans, RenewAnonymous: r.RenewAnonymous,
		RecreateDependencies: r.RecreateDependencies, RecreateVolumes: r.RecreateVolumes,
		Wait: r.Wait, Pull: r.Pull, Build: r.Build, Timeout: r.Timeout, Since: op.since(),
	}
	if policy.Pull == "policy" {
		policy.Pull = ""
	}
	return policy, nil
}

func (c *Compose) up(ctx context.Context, op Operation, r UpRequest) (work, error) {
	if r.Project == nil { // as it is kept
		stored, err := c.stored(ctx, op.Project)
		if err != nil {
			return work{}, err
		}
		r.Project = stored
	}
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	if r.Watch != nil && len(rulesOf(r.Project, r.Watch.Services)) == 0 {
		return work{}, ErrNoRules
	}
	policy, err := r.policy(op)
	if err != nil {
		return work{}, err
	}
	want, err := state.Want(r.Project, state.Options{
		Services: r.Services, NoDeps: r.NoDeps, Scale: r.Scale, Defaults: r.Defaults, Version: c.Version,
	})
	if err != nil {
		return work{}, err
	}
	if len(want.Services) == 0 {
		return work{}, errors.New("no service selected")
	}
	p, err := c.diff(ctx, want, policy)
	w := work{plan: p, timings: r.Timings, options: apply.Options{
		Registries: r.Registries, WaitTimeout: r.WaitTimeout,
		Prepare: func(ctx context.Context) error {
			return errors.Join(c.keep(ctx, r.Project), c.watching(r.Watch, r.Project))
		},
	}}
	if r.Prune {
		w.after = func(ctx context.Context) error { return c.prune(ctx, op.Project) }
	}
	return w, err
}

// prune removes what builds of a project have left without a name; an image that
// a container still uses stays.
func (c *Compose) prune(ctx context.Context, project string) error {
	left, err := c.dangling(ctx, project, "local")
	for _, digest := range left {
		if goneErr := c.Backend.RemoveImage(ctx, digest); !errors.Is(goneErr, spec.ErrInUse) {
			err = errors.Join(err, goneErr)
		}
	}
	return err
}

// watching begins to watch a project, or goes on with the rules that hold now.
func (c *Compose) watching(w *Watching, p *model.Project) error {
	if c.Watches == nil {
		return nil
	}
	if w == nil {
		return c.Watches.renew(p)
	}
	return c.Watches.Begin(*w, p)
}

// WatchRequest asks to watch a project that is up.
type WatchRequest struct {
	Project *model.Project
	Watch   Watching
}

// watch changes no container: it keeps the model, so that the rules are those
// of the file as it is, and begins.
func (c *Compose) watch(_ context.Context, op Operation, r WatchRequest) (work, error) {
	if err := given(op, r.Project); err != nil {
		return work{}, err
	}
	if len(rulesOf(r.Project, r.Watch.Services)) == 0 {
		return work{}, ErrNoRules
	}
	return work{plan: &plan.Plan{Project: op.Project}, options: apply.Options{
		Prepare: func(ctx context.Context) error {
			return errors.Join(c.keep(ctx, r.Project), c.watching(&r.Watch, r.Project))
		},
	}}, nil
}

// diff looks at what there is and plans.
func (c *Compose) diff(ctx context.Context, want state.Desired, policy plan.Policy) (*plan.Plan, error) {
	actual, err := state.Observe(ctx, c.Backend, want.Project, want.References())
	if err != nil {
		return nil, err
	}
	return plan.Diff(want, actual, policy)
}
