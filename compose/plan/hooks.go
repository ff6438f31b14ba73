package plan

import (
	"slices"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Hooks are steps of their own, so that a cancel interrupts one that hangs. A
// container counts as started when its hooks after the start have succeeded.

func postStartID(name string) string { return "post_start " + name }
func preStopID(name string) string   { return "pre_stop " + name }

// started are the steps after which a container has been started, if there are
// any.
func started(name string) []string { return []string{startID(name), postStartID(name)} }

// withPostStart is a start and the hooks after it, which end with its word.
func withPostStart(start Step, b *spec.Blueprint) []Step {
	if len(b.PostStart) == 0 {
		return []Step{start}
	}
	hooks := hooksOf(start, PostStart, postStartID(start.Target))
	hooks.Cause, hooks.End, hooks.After = "is started", start.End, []string{start.ID}
	start.End = ""
	return []Step{start, hooks}
}

// withPreStop is a stop and the hooks before it, which begin with its word. Only
// a container that runs hears of them.
func withPreStop(stop Step, c *state.Container) []Step {
	if len(c.Blueprint.PreStop) == 0 || c.Status.State != spec.StateRunning {
		return []Step{stop}
	}
	hooks := hooksOf(stop, PreStop, preStopID(stop.Target))
	hooks.Cause, hooks.Begin, hooks.After = "is stopped", stop.Begin, slices.Clone(stop.After)
	stop.Begin, stop.After = "", append(stop.After, hooks.ID)
	return []Step{hooks, stop}
}

// duePostStart are the hooks of a container that runs, which an operation that
// was interrupted, or in which they failed, has left over.
func duePostStart(c *state.Container) []Step {
	if c.Status.State != spec.StateRunning || !c.Status.HooksDue {
		return nil
	}
	step := containerStep(PostStart, postStartID(c.Name()), c)
	step.Cause, step.Begin, step.End = "was started, and its hooks have not succeeded yet", "Starting", "Started"
	return []Step{step}
}

func hooksOf(step Step, kind Kind, id string) Step {
	return Step{
		ID: id, Kind: kind, Target: step.Target, Container: step.Container, Service: step.Service, Number: step.Number,
	}
}
