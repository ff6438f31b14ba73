package compose

import (
	"context"
	"fmt"
	"slices"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/plan"
)

// Recover returns the operations that a daemon must do after its start, in
// order for each project: those that have no result, to the result they would
// have had, and after a boot of the machine one per project that starts what
// was meant to run.
//
// A boot comes before an operation that was interrupted, except behind one that
// takes down: what that stops is not meant to run. Boots have no ID and no
// StartedAt yet.
func (c *Compose) Recover(ctx context.Context, unfinished []Operation, booted bool) ([]Operation, error) {
	records, err := c.Projects.ListProjects(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list projects: %w", err)
	}
	var first, last []Operation
	for _, op := range unfinished {
		op.Resumed = true
		if op.Kind == Boot && booted {
			continue // a fresh one takes its place
		}
		if op.Kind.Cancels() {
			first = append(first, op)
		} else {
			last = append(last, op)
		}
	}
	if !booted {
		return append(first, last...), nil
	}
	names := make([]string, 0, len(records))
	for _, r := range records {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	for _, name := range names {
		first = append(first, Operation{Kind: Boot, Project: name})
	}
	return append(first, last...), nil
}

// boot plans the start of what was meant to run. One failed service does not
// keep those back that do not depend on it.
func (c *Compose) boot(ctx context.Context, op Operation) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, nil)
	if err != nil {
		return work{}, err
	}
	p, err := plan.Boot(actual, scope.Project)
	return work{plan: p, options: apply.Options{KeepGoing: true}}, err
}
