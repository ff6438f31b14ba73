package plan

import (
	"slices"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Stop stops containers, dependants first.
func Stop(a state.Actual, s Scope, timeout *time.Duration) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	q.stops(s.containers(a, false), stopWith(timeout), "asked for", "Stopping", "Stopped")
	return q.finish()
}

// Start starts what exists and does not run, dependencies first and with their
// conditions. wait adds a step per container that waits until it is ready.
func Start(a state.Actual, s Scope, wait bool) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	all := s.containers(a, false)
	q.starts(withoutRunning(all), "asked for", "Starting", "Started")
	q.dueHooks(all)
	if wait {
		for i := range all {
			q.steps = append(q.steps, readyStep(all[i].Name(), all[i].ID(), all[i].Service, all[i].Number))
		}
	}
	return q.finish()
}

func withoutRunning(containers []state.Container) []state.Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c state.Container) bool { return c.Status.Up() })
}

// RestartOptions say how far a restart goes.
type RestartOptions struct {
	// NoDeps leaves alone the services that depend on a restarted one with
	// restart: true.
	NoDeps  bool
	Timeout *time.Duration
	// Since: what was started at or after it counts as restarted (see
	// Policy.Since).
	Since time.Time
}

// Restart stops containers, dependants first, and starts them again,
// dependencies first and with their conditions.
func Restart(a state.Actual, s Scope, o RestartOptions) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	if len(s.Services) > 0 && !o.NoDeps {
		s.Services = q.withFollowers(s.Services)
	}
	var restarted []state.Container
	containers := slices.DeleteFunc(withSharers(a, s.containers(a, false)), func(c state.Container) bool {
		done := !o.Since.IsZero() && !c.Status.StartedAt.Before(o.Since)
		if done {
			restarted = append(restarted, c)
		}
		return done
	})
	q.dueHooks(restarted)
	// What could not be started again is not stopped either.
	for i := range containers {
		q.plan.Before.Blueprints = append(q.plan.Before.Blueprints, containers[i].Blueprint)
		q.plan.Before.Except = append(q.plan.Before.Except, containers[i].ID())
	}
	how := stopWith(o.Timeout)
	how.Keep = true
	q.stops(containers, how, "asked for", "Restarting", "")
	q.starts(containers, "asked for", "", "Started")
	return q.finish()
}

// withSharers adds the running containers that share a namespace of one that is
// restarted: it goes with its owner.
func withSharers(a state.Actual, containers []state.Container) []state.Container {
	in := map[string]bool{}
	for i := range containers {
		in[containers[i].ID()] = true
	}
	for i := range a.Containers {
		c := &a.Containers[i]
		shares := slices.ContainsFunc(c.Blueprint.NamespaceOwners(), func(owner string) bool { return in[owner] })
		if shares && !in[c.ID()] && c.Status.Up() {
			containers = append(containers, *c)
		}
	}
	return containers
}

// withFollowers adds the services that restart with the given ones.
func (q *sequence) withFollowers(services []string) []string {
	out := slices.Clone(services)
	for i := 0; i < len(out); i++ {
		for _, name := range q.actual.Services() {
			follows := slices.ContainsFunc(q.depends[name], func(d model.Dependency) bool {
				return d.Service == out[i] && d.Restart
			})
			if follows && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// Kill sends a signal to running containers.
func Kill(a state.Actual, s Scope, signal string) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	for _, c := range s.containers(a, false) {
		if !c.Status.Up() {
			continue
		}
		step := containerStep(KillContainer, killID(c.Name()), &c)
		step.Signal, step.Cause, step.Begin, step.End = signal, "asked for", "Killing", "Killed"
		q.steps = append(q.steps, step)
	}
	return q.finish()
}

// Pause freezes running containers; one that is paused stays so.
func Pause(a state.Actual, s Scope) (*Plan, error) {
	return freeze(a, s, spec.StateRunning, func(name string) (Kind, string, string) {
		return PauseContainer, pauseID(name), "Paused"
	})
}

// Unpause lets paused containers go on.
func Unpause(a state.Actual, s Scope) (*Plan, error) {
	return freeze(a, s, spec.StatePaused, func(name string) (Kind, string, string) {
		return UnpauseContainer, unpauseID(name), "Unpaused"
	})
}

func freeze(a state.Actual, s Scope, from spec.State, shape func(name string) (kind Kind, id, end string)) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	for _, c := range s.containers(a, false) {
		if c.Status.State != from {
			continue
		}
		kind, id, end := shape(c.Name())
		step := containerStep(kind, id, &c)
		step.Cause, step.End = "asked for", end
		q.steps = append(q.steps, step)
	}
	return q.finish()
}

// Boot starts, after the machine came up, what was meant to run: policy always,
// unless-stopped if nobody stopped it, on-failure if it ended with a failure.
// Order and conditions are those of an up; a condition on a container that is
// not meant to run is left out with a warning.
func Boot(a state.Actual, p *model.Project) (*Plan, error) {
	s := Scope{Project: p, Orphans: true}
	q := newSequence(a, s)
	containers := slices.DeleteFunc(s.containers(a, false), func(c state.Container) bool { return !MeantToRun(&c) })
	for _, name := range lacking(q, containers) {
		q.plan.Warnings = append(q.plan.Warnings, name+" is not started at boot (its restart policy says no); what depends on it is started all the same")
	}
	q.starts(containers, "meant to run", "Starting", "Started")
	return q.finish()
}

// MeantToRun reports whether a container that does not run shall be started
// when the machine came up, as dockerd does it: also one of policy always that a
// user stopped.
func MeantToRun(c *state.Container) bool {
	if c.Status.Up() || c.Status.State == spec.StateCreated {
		return false
	}
	restart := c.Blueprint.Restart
	switch restart.Policy {
	case spec.RestartAlways:
		return true
	case spec.RestartUnlessStopped:
		return !c.Status.StoppedByUser
	case spec.RestartOnFailure:
		return !c.Status.StoppedByUser && c.Status.ExitCode != 0 &&
			(restart.MaxAttempts == 0 || c.Status.Restarts < restart.MaxAttempts)
	}
	return false
}

// lacking names the containers whose condition cannot be waited for.
func lacking(q *sequence, starting []state.Container) []string {
	var out []string
	for i := range starting {
		for _, dep := range q.depends[starting[i].Service] {
			for _, c := range q.actual.Replicas(dep.Service) {
				until := untilOf(dep.Condition)
				meant := slices.ContainsFunc(starting, func(s state.Container) bool { return s.ID() == c.ID() })
				if until != "" && !meant && !holds(&c, until) && !slices.Contains(out, c.Name()) {
					out = append(out, c.Name())
				}
			}
		}
	}
	return out
}
