package plan

import (
	"slices"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Scope says which containers of a project a command is about.
type Scope struct {
	// Project is the stored project, or nil: then labels tell what there is.
	Project *model.Project
	// Services the user named; none means all.
	Services []string
	// File is what the caller's file has, or nil. It need not be the file that
	// Project was stored from: two folders may have one project's name.
	File *model.Outline
	// Orphans: containers of services that are not known are meant too.
	Orphans bool
}

// fileAlone reports whether the caller's file alone says what is meant: the
// stored project is of another folder, or there is none.
func (s Scope) fileAlone() bool {
	return s.File != nil && (s.Project == nil || s.File.Dir != s.Project.WorkingDir)
}

// owned is what the command is about; nil means that labels tell.
func (s Scope) owned() *model.Outline {
	if s.Project == nil || s.fileAlone() {
		return s.File
	}
	return s.Project.Outline()
}

// knows reports whether a service is no orphan.
func (s Scope) knows(service string) bool {
	switch {
	case s.File != nil && slices.Contains(s.File.Services, service):
		return true
	case s.fileAlone():
		return false
	case s.Project == nil:
		return true
	}
	_, ok := s.Project.Service(service)
	return ok
}

// check answers an unknown service argument.
func (s Scope) check(a state.Actual) error {
	labels := s.Project == nil && s.File == nil
	known := a.Services()
	for _, name := range s.Services {
		if !s.knows(name) || labels && !slices.Contains(known, name) {
			return &state.NoSuchServiceError{Name: name}
		}
	}
	return nil
}

// has reports whether a container's service is meant.
func (s Scope) has(c *state.Container) bool {
	if len(s.Services) > 0 && slices.Contains(s.Services, c.Service) {
		return true
	}
	if !s.knows(c.Service) {
		return s.Orphans
	}
	return len(s.Services) == 0
}

// containers are those meant, without one-offs unless asked for.
func (s Scope) containers(a state.Actual, oneOffs bool) []state.Container {
	var out []state.Container
	for _, c := range a.Containers {
		if s.has(&c) && (oneOffs || !c.OneOff) {
			out = append(out, c)
		}
	}
	return out
}

// sequence builds the steps of commands that stop or start what exists.
type sequence struct {
	plan    *Plan
	steps   []Step
	actual  state.Actual
	depends map[string][]model.Dependency
}

func newSequence(a state.Actual, s Scope) *sequence {
	return &sequence{
		plan: &Plan{Project: a.Project, IDs: idsOf(a)}, actual: a, depends: state.Dependencies(s.Project, a),
	}
}

func (q *sequence) finish() (*Plan, error) {
	if err := q.plan.finish(q.steps); err != nil {
		return nil, err
	}
	return q.plan, nil
}

func containerStep(kind Kind, id string, c *state.Container) Step {
	return Step{
		ID: id, Kind: kind, Target: c.Name(), Container: c.ID(), Service: c.Service, Number: c.Number,
	}
}

// stops adds a stop per container, dependants first.
func (q *sequence) stops(containers []state.Container, how spec.Stop, cause, begin, end string) {
	for i := range containers {
		c := &containers[i]
		step := containerStep(StopContainer, stopID(c.Name()), c)
		step.Stop, step.Cause, step.Begin, step.End = how, cause, begin, end
		for j := range containers {
			if q.needs(&containers[j], c) {
				step.After = append(step.After, stopID(containers[j].Name()))
			}
		}
		q.steps = append(q.steps, withPreStop(step, c)...)
	}
}

// needs reports whether container a depends on container b: by its service, or
// by sharing a namespace of b.
func (q *sequence) needs(a, b *state.Container) bool {
	if a.Blueprint.Shares(b.ID()) {
		return true
	}
	if a.OneOff && a.Service == b.Service && !b.OneOff {
		return false
	}
	return a.Service != b.Service && slices.ContainsFunc(q.depends[a.Service], func(d model.Dependency) bool {
		return d.Service == b.Service && !b.OneOff
	})
}

// starts adds a start per container, behind the conditions of what it depends
// on. Conditions count for containers that run or that this plan starts.
func (q *sequence) starts(containers []state.Container, cause, begin, end string) {
	starting := map[string]bool{}
	for i := range containers {
		starting[containers[i].ID()] = true
	}
	for i := range containers {
		c := &containers[i]
		step := containerStep(StartContainer, startID(c.Name()), c)
		step.Cause, step.Begin, step.End = cause, begin, end
		step.After = []string{stopID(c.Name())}
		for j := range q.actual.Containers {
			other := &q.actual.Containers[j]
			if c.Blueprint.Shares(other.ID()) {
				step.After = append(step.After, startID(other.Name()))
			}
		}
		for _, dep := range q.depends[c.Service] {
			step.After = append(step.After, q.reached(dep, starting)...)
		}
		q.steps = append(q.steps, withPostStart(step, &c.Blueprint)...)
	}
}

// dueHooks adds the hooks that running containers still lack.
func (q *sequence) dueHooks(containers []state.Container) {
	for i := range containers {
		q.steps = append(q.steps, duePostStart(&containers[i])...)
	}
}

// reached returns the steps that bring a dependency to its condition, and adds
// the waits among them.
func (q *sequence) reached(dep model.Dependency, starting map[string]bool) []string {
	var out []string
	replicas := q.actual.Replicas(dep.Service)
	for i := range replicas {
		c := &replicas[i]
		until := untilOf(dep.Condition)
		if until == "" || (!starting[c.ID()] && !holds(c, until)) {
			out = append(out, started(c.Name())...)
			continue
		}
		id := waitID(c.Name(), until, !dep.Required)
		out = append(out, id, postStartID(c.Name()))
		if slices.ContainsFunc(q.steps, func(s Step) bool { return s.ID == id }) {
			continue
		}
		step := containerStep(WaitContainer, id, c)
		step.Until, step.Optional, step.Begin, step.End = until, !dep.Required, "Waiting", endOf(until)
		step.Cause = "a dependant asks for " + string(dep.Condition)
		step.After = []string{startID(c.Name())}
		q.steps = append(q.steps, step)
	}
	return out
}

// holds reports whether a container that nobody starts can be waited for: it
// runs, or has already ended as a completion asks.
func holds(c *state.Container, until waitCondition) bool {
	return c.Status.Up() || (until == spec.UntilExited && c.Status.State == spec.StateExited)
}
