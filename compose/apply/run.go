// Package apply walks a plan: it calls the backend, as much at a time as the
// steps' order allows, and turns what happens into events in docker compose's
// words. It decides nothing: what is done and why stands in the plan.
//
// Invariants:
//   - Before the first step the backend is asked whether all of it can be done
//     as written; if not, nothing is touched.
//   - A failed step or a cancel lets steps in flight end and starts no new
//     ones; what stands stays. Pulls, builds and waits are interrupted, since
//     that leaves nothing half made; hooks are by a cancel alone, since they
//     may hang, and would be half done.
//   - Doing a step twice does no harm (see compose/backend), so that a plan
//     computed again after a crash arrives where the first would have.
package apply

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/graph"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
)

// Sink takes events in the order they happen, one at a time. Sequence and Time
// are left to it. The run waits for it: it must neither block nor call back.
type Sink func(event.Event)

// Options of a run.
type Options struct {
	// Registries travel with pulls and builds.
	Registries spec.Registries
	// Parallel is how many steps work at the same time; zero chooses. Steps
	// that mostly wait (pull, build, stop, wait) do not count.
	Parallel int
	// WaitTimeout bounds each wait until ready (up --wait-timeout); zero is
	// without bound.
	WaitTimeout time.Duration
	// Prepare is called once the backend has said that all can be done, before
	// the first step; nil is nothing.
	Prepare func(ctx context.Context) error
	// KeepGoing does what does not depend on a failed step (boot).
	KeepGoing bool
	// Begun is when the operation began. If it is set, an event of KindStep
	// tells what each step took, planning included.
	Begun time.Time
}

// Result is what a run did.
type Result struct {
	// Running are ids of containers that were found running and right, or
	// were started; sorted.
	Running []string
	// Created maps names of created containers to ids.
	Created map[string]string
	// Culprits are ids of containers that made the run fail.
	Culprits []string
}

// DryRun tells the plan and can touch nothing: it has no backend.
func DryRun(p *plan.Plan, sink Sink) error {
	data, err := p.MarshalJSON()
	if err != nil {
		return err
	}
	sink(event.Event{Kind: event.KindPlan, Status: event.Done, Text: p.String(), Details: string(data)})
	return nil
}

// Run does what the plan says. The error is that of the first step that
// failed; errors.Is knows the sentinels of engine/spec in it.
func Run(ctx context.Context, p *plan.Plan, b backend.Backend, sink Sink, o Options) (Result, error) {
	r := &runner{backend: b, sink: sink, options: o, ids: map[string]string{}, running: map[string]bool{}, done: map[string]bool{}}
	r.result.Created = map[string]string{}
	r.tell(planned, event.Step{Kind: planned}, o.Begun, nil)
	for _, warning := range p.Warnings {
		r.warn(warning)
	}
	r.adopt(p)
	if err := r.before(ctx, p); err != nil {
		return r.finish(), err
	}
	interruptible, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	r.interrupt = interrupt
	limit := o.Parallel
	if limit <= 0 {
		limit = max(8, 4*runtime.GOMAXPROCS(0))
	}
	err := graph.Walker[string]{
		Limit: limit, KeepGoing: o.KeepGoing, Waits: r.onlyWaits, Grow: r.grow,
		Visit: func(ctx context.Context, id string) error { return r.visit(ctx, interruptible, id) },
	}.Walk(ctx, p.Graph())
	if r.first != nil {
		err = r.first
	}
	return r.finish(), err
}

// before asks the backend whether all can be done as written, and prepares.
func (r *runner) before(ctx context.Context, p *plan.Plan) error {
	if !p.Empty() {
		began := time.Now()
		errs := r.backend.Check(ctx, p.Before.Blueprints, p.Before.Networks, p.Before.Except)
		if !r.options.KeepGoing { // what may be changed is
			errs = append(errs, r.backend.Changeable(ctx, p.Touches())...)
		}
		err := errors.Join(errs...)
		r.tell(checked, event.Step{Kind: checked, After: []string{planned}}, began, err)
		if err != nil {
			return err
		}
	}
	if r.options.Prepare == nil {
		return nil
	}
	began, after := time.Now(), r.latest()
	err := r.options.Prepare(ctx)
	r.tell(prepared, event.Step{Kind: prepared, After: []string{after}}, began, err)
	return err
}

// runner is one run.
type runner struct {
	backend   backend.Backend
	options   Options
	interrupt context.CancelCauseFunc

	mu      sync.Mutex
	sink    Sink
	plan    *plan.Plan
	steps   map[string]*plan.Step
	ids     map[string]string // containers by name
	running map[string]bool   // containers by name
	done    map[string]bool   // told as such, by name
	images  map[string]spec.Image
	first   error
	result  Result
	times   times
}

// adopt takes in a plan, the first or a grown one.
func (r *runner) adopt(p *plan.Plan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan = p
	r.steps = make(map[string]*plan.Step, len(p.Steps))
	for i := range p.Steps {
		r.steps[p.Steps[i].ID] = &p.Steps[i]
	}
	for name, id := range p.IDs {
		if _, ok := r.ids[name]; !ok {
			r.ids[name] = id
		}
	}
	for _, name := range p.Unchanged {
		if !r.running[name] {
			r.running[name] = true
			r.sink(resource("Container "+name, event.Done, "Running", ""))
		}
	}
	for _, name := range p.Done {
		if !r.done[name] {
			r.done[name] = true
			r.sink(resource("Container "+name, event.Done, "Exited", ""))
		}
	}
}

func (r *runner) step(id string) *plan.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.steps[id]
}

// onlyWaits tells the steps that take no place among those that work.
func (r *runner) onlyWaits(id string) bool {
	switch r.step(id).Kind {
	case plan.PullImage, plan.BuildImage, plan.StopContainer, plan.WaitContainer, plan.ReadyContainer, plan.Gate,
		plan.PostStart, plan.PreStop:
		return true
	}
	return false
}

// grow asks the plan what follows from an image that is known now.
func (r *runner) grow(id string) (*graph.Graph[string], error) {
	step := r.step(id)
	if step.Kind != plan.PullImage && step.Kind != plan.BuildImage {
		return nil, nil
	}
	r.mu.Lock()
	image, ok := r.images[step.Target]
	before := r.plan
	r.mu.Unlock()
	if !ok {
		return nil, nil
	}
	next, err := before.With(step.Target, image)
	if err != nil {
		r.fail(err)
		return nil, err
	}
	if next == before {
		return nil, nil
	}
	r.joins(next, id)
	r.adopt(next)
	return next.Graph(), nil
}

// visit does a step. What must not be left half done runs to its end even if
// the context ends.
func (r *runner) visit(ctx, interruptible context.Context, id string) error {
	step := r.step(id)
	fault.Point("apply:step:begin")
	began := time.Now()
	var err error
	switch step.Kind {
	case plan.PullImage, plan.BuildImage:
		err = r.fetch(interruptible, step)
	case plan.WaitContainer:
		err = r.wait(interruptible, step)
	case plan.ReadyContainer:
		err = r.ready(interruptible, step)
	case plan.PostStart, plan.PreStop:
		err = r.hooks(ctx, step)
	default:
		err = r.change(context.WithoutCancel(ctx), step)
	}
	r.tell(id, event.Step{Kind: string(step.Kind), Target: step.Target, After: r.after(step)}, began, err)
	fault.Point("apply:step:end")
	if err != nil {
		r.fail(err)
	}
	return err
}

// fail keeps the first failure and interrupts what only waits.
func (r *runner) fail(err error) {
	r.mu.Lock()
	if r.first == nil {
		r.first = err
	}
	r.mu.Unlock()
	if !r.options.KeepGoing {
		r.interrupt(err)
	}
}

func (r *runner) finish() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.running {
		r.result.Running = append(r.result.Running, r.ids[name])
	}
	slices.Sort(r.result.Running)
	slices.Sort(r.result.Culprits)
	r.result.Culprits = slices.Compact(r.result.Culprits)
	return r.result
}
