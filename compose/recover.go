package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Recover returns the operations that a daemon must do after its start, in
// order for each project: those that have no result, to the result they would
// have had, and after a boot of the machine one per project that starts what
// was meant to run.
//
// Where objects were damaged, that one also makes anew what the kept model wants
// and is lost, after a boot or not.
//
// A boot comes before an operation that was interrupted, except behind one that
// takes down: what that stops is not meant to run. Boots have no ID and no
// StartedAt yet.
func (c *Compose) Recover(ctx context.Context, unfinished []Operation, booted bool, damage Damage) ([]Operation, error) {
	records, err := c.Projects.ListProjects(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list projects: %w", err)
	}
	var first, last []Operation
	for _, op := range unfinished {
		op.Resumed = true
		if op.Kind == Boot && (booted || damage.Found) {
			continue // a fresh one takes its place
		}
		if op.Kind.Cancels() {
			first = append(first, op)
		} else {
			last = append(last, op)
		}
	}
	if !booted && !damage.Found {
		return append(first, last...), nil
	}
	names := make([]string, 0, len(records))
	for _, r := range records {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	for _, name := range names {
		first = append(first, Operation{Kind: Boot, Project: name, Request: BootRequest{
			Repair: damage.Found, Running: !booted, Lost: damage.Lost[name], Unknown: damage.Unknown,
		}})
	}
	return append(first, last...), nil
}

// Damage is what a daemon found damaged at its start.
type Damage struct {
	// Found: something was, be it named below or not.
	Found bool
	// Lost are the replicas ("web-1") that there were of a project and that
	// have no container any more.
	Lost map[string][]string
	// Unknown are the ids of containers of which it is not known any more
	// whether they ran.
	Unknown []string
}

// BootRequest asks to start what was meant to run.
type BootRequest struct {
	// Repair makes what is lost anew: containers, networks, volumes, images.
	Repair bool `json:"repair,omitempty"`
	// Running: the machine did not boot, so what does not run shall not.
	Running bool     `json:"running,omitempty"`
	Lost    []string `json:"lost,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
}

// boot plans the start of what was meant to run. One failed service does not
// keep those back that do not depend on it.
func (c *Compose) boot(ctx context.Context, op Operation, r BootRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, nil)
	if err != nil {
		return work{}, err
	}
	if r.Repair && scope.Project != nil {
		return c.repair(ctx, op, r, actual, scope.Project)
	}
	p, err := plan.Boot(actual, scope.Project)
	return work{plan: p, options: apply.Options{KeepGoing: true}}, err
}

// repair plans an up of what was there, and leaves alone what is not meant to
// run: it looks as if it ran.
func (c *Compose) repair(ctx context.Context, op Operation, r BootRequest, actual state.Actual, p *model.Project) (work, error) {
	scale := map[string]int{}
	left := map[string]bool{} // ids
	for i := range actual.Containers {
		container := &actual.Containers[i]
		if _, known := p.Services[container.Service]; known && !container.OneOff {
			scale[container.Service]++
		}
		meant := plan.MeantToRun(container) && !r.Running || slices.Contains(r.Unknown, container.ID())
		left[container.ID()] = !meant && !container.Status.Up()
	}
	for _, replica := range r.Lost {
		service, word, _ := cutLast(replica, "-")
		number, err := strconv.Atoi(word)
		if err != nil || slices.ContainsFunc(actual.Replicas(service), func(c state.Container) bool { return c.Number == number }) {
			continue // a one-off, or there again
		}
		if _, known := p.Services[service]; known {
			scale[service]++
		}
	}
	if len(scale) == 0 {
		return work{plan: &plan.Plan{Project: p.Name}}, nil
	}
	want, err := state.Want(p, state.Options{
		Services: slices.Sorted(maps.Keys(scale)), NoDeps: true, Scale: scale, Version: c.Version,
	})
	if err != nil {
		return work{}, err
	}
	there, err := state.Observe(ctx, c.Backend, p.Name, want.References())
	if err != nil {
		return work{}, err
	}
	for i := range there.Containers {
		if left[there.Containers[i].ID()] {
			there.Containers[i].Status.State = spec.StateRunning
		}
	}
	// Since lets lost replicas have their numbers again.
	steps, err := plan.Diff(want, there, plan.Policy{NoRecreate: true, IgnoreOrphans: true, Since: op.StartedAt})
	return work{plan: steps, options: apply.Options{KeepGoing: true}}, err
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
