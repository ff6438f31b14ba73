package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/mycompose/mycompose/compose/graph"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Plan is what to do.
type Plan struct {
	Project string
	// Steps stand in an order in which they may be done one by one.
	Steps []Step
	// Unchanged are the names of containers that are up and right.
	Unchanged []string
	// Done are those that have ended as their dependants ask, and stay so.
	Done []string
	// Pending are the services (and the container of a run) about whose containers nothing can be said
	// before an image step of this plan has ended.
	Pending []string
	// Warnings are lines for the user.
	Warnings []string
	// IDs are the containers of the project that existed, name to id.
	IDs map[string]string
	// Before is what a backend should be asked before the first step.
	Before Before

	again *inputs // nil: the plan does not grow
}

// Before holds what backend.Checker is asked.
type Before struct {
	// Blueprints of all containers that will be created or started, those of
	// pending services included (without image digest).
	Blueprints []spec.Blueprint
	Networks   []spec.Network
	// Except are ids of containers of the project whose ports do not count.
	Except []string
}

// inputs is what Diff computed a plan from.
type inputs struct {
	want     state.Desired
	actual   state.Actual
	policy   Policy
	resolved map[string]spec.Image
}

// Policy says how far Diff goes. The zero value is a plain up.
type Policy struct {
	// ForceRecreate makes the containers of selected services anew.
	ForceRecreate bool
	// RecreateDependencies does so with those of services that selected ones
	// depend on.
	RecreateDependencies bool
	// NoRecreate leaves existing containers as they are.
	NoRecreate bool
	// NoStart creates and starts nothing.
	NoStart bool
	// RemoveOrphans removes containers of services that the file lacks.
	RemoveOrphans bool
	// IgnoreOrphans does not even warn about them.
	IgnoreOrphans bool
	// Wait adds a step per container that waits until it is ready.
	Wait bool
	// RenewAnonymous gives recreated containers fresh anonymous volumes.
	RenewAnonymous bool
	// RecreateVolumes makes volumes that differ from the file anew; their
	// content is lost.
	RecreateVolumes bool
	// Pull overrides the pull policies of the file: "", always, missing,
	// never or build.
	Pull string
	// Build: "" builds what is missing, "always" all, "never" nothing.
	Build string
	// Timeout overrides the time from stop signal to SIGKILL.
	Timeout *time.Duration
	// Since makes a plan that is computed again (its operation was
	// interrupted) end where the first would have: what was created or
	// started at or after Since counts as done. Zero: not again.
	Since time.Time
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Step returns the step with that id, or nil.
func (p *Plan) Step(id string) *Step {
	for i := range p.Steps {
		if p.Steps[i].ID == id {
			return &p.Steps[i]
		}
	}
	return nil
}

// Graph returns the steps' ids and what each comes after.
func (p *Plan) Graph() *graph.Graph[string] {
	g := &graph.Graph[string]{}
	for i := range p.Steps {
		g.Add(p.Steps[i].ID, p.Steps[i].After...)
	}
	return g
}

// With returns the plan as it is once an image step has found its image. It
// returns p itself if nothing hangs on that.
func (p *Plan) With(reference string, image spec.Image) (*Plan, error) {
	if p.again == nil || len(p.Pending) == 0 {
		return p, nil
	}
	next := *p.again
	next.resolved = maps.Clone(p.again.resolved)
	if next.resolved == nil {
		next.resolved = map[string]spec.Image{}
	}
	next.resolved[reference] = image
	for i := range p.Steps { // a build's tags are further names of its image
		if s := &p.Steps[i]; s.Build != nil && s.Target == reference {
			for j := range p.again.want.Services {
				other := p.again.want.Services[j].Image.Reference
				if slices.ContainsFunc(s.Build.Tags, func(tag string) bool { return state.SameImage(tag, other) }) {
					next.resolved[other] = image
				}
			}
		}
	}
	return diff(next)
}

// idsOf maps the names of what there is to ids.
func idsOf(a state.Actual) map[string]string {
	out := make(map[string]string, len(a.Containers))
	for i := range a.Containers {
		out[a.Containers[i].Name()] = a.Containers[i].ID()
	}
	return out
}

// finish puts the steps into an order in which they may be done.
func (p *Plan) finish(steps []Step) error {
	byID := make(map[string]int, len(steps))
	g := &graph.Graph[string]{}
	for i := range steps {
		byID[steps[i].ID] = i
		g.Add(steps[i].ID)
	}
	for i := range steps {
		s := &steps[i]
		s.After = slices.DeleteFunc(s.After, func(id string) bool {
			_, ok := byID[id]
			return !ok
		})
		slices.Sort(s.After)
		s.After = slices.Compact(s.After)
		g.Add(s.ID, s.After...)
	}
	order, err := g.Order()
	if err != nil {
		return err
	}
	p.Steps = make([]Step, 0, len(order))
	for _, id := range order {
		p.Steps = append(p.Steps, steps[byID[id]])
	}
	return nil
}
