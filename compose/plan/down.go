package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// DownOptions say how far a down goes.
type DownOptions struct {
	// Volumes removes the declared named volumes and the anonymous ones.
	Volumes bool
	// Images: "", "local" (built ones without a name of the user's own) or
	// "all".
	Images string
	// Dangling are digests of the project's images that have no name any
	// more; they go with either.
	Dangling []string
	Timeout  *time.Duration
}

// Down stops and removes containers, dependants first, then the project's
// networks, and on request volumes and images. With services named only their
// containers go.
func Down(a state.Actual, s Scope, o DownOptions) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	containers := s.containers(a, true)
	q.stops(containers, stopWith(o.Timeout), "asked for", "Stopping", "Stopped")
	var gone []string
	for i := range containers {
		c := &containers[i]
		step := containerStep(RemoveContainer, removeID(c.Name()), c)
		step.Remove = spec.Remove{Force: true, Volumes: o.Volumes}
		step.Cause, step.Begin, step.End = "asked for", "Removing", "Removed"
		step.After = []string{stopID(c.Name())}
		q.steps = append(q.steps, step)
		gone = append(gone, step.ID)
	}
	if len(s.Services) == 0 {
		q.removeNetworks(gone)
		if o.Volumes {
			q.removeVolumes(s.owned(), gone)
		}
		q.removeImages(s.owned(), o, gone)
	}
	return q.finish()
}

// removeNetworks removes all networks that are labelled as the project's.
func (q *sequence) removeNetworks(after []string) {
	for _, name := range slices.Sorted(maps.Keys(q.actual.Networks)) {
		if q.actual.Networks[name].Labels[state.LabelProject] != q.plan.Project {
			continue
		}
		q.steps = append(q.steps, Step{
			ID: unnetworkID(name), Kind: RemoveNetwork, Target: name, Cause: "asked for", Optional: true,
			Begin: "Removing", End: "Removed", After: after,
		})
	}
}

// removeVolumes removes the labelled volumes that the file declares, or all
// labelled ones if there is no file.
func (q *sequence) removeVolumes(owned *model.Outline, after []string) {
	for _, name := range slices.Sorted(maps.Keys(q.actual.Volumes)) {
		v := q.actual.Volumes[name]
		if v.Labels[state.LabelProject] != q.plan.Project || v.Anonymous || owned != nil && !slices.Contains(owned.Volumes, name) {
			continue
		}
		q.steps = append(q.steps, Step{
			ID: unvolumeID(name), Kind: RemoveVolume, Target: name, Cause: "asked for with --volumes", Optional: true,
			Begin: "Removing", End: "Removed", After: after,
		})
	}
}

func (q *sequence) removeImages(owned *model.Outline, o DownOptions, after []string) {
	which := o.Images
	if which == "" {
		return
	}
	names := map[string]bool{}
	if owned == nil {
		for _, c := range q.actual.Containers {
			local := c.Blueprint.Image == q.plan.Project+"-"+c.Service
			names[c.Blueprint.Image] = names[c.Blueprint.Image] || which == "all" || local
		}
	} else {
		for name, local := range owned.Images {
			names[name] = which == "all" || local
		}
	}
	for _, digest := range o.Dangling {
		names[digest] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !names[name] {
			continue
		}
		q.steps = append(q.steps, Step{
			ID: "remove image " + name, Kind: RemoveImage, Target: name, Cause: "asked for with --rmi", Optional: true,
			Begin: "Removing", End: "Removed", After: after,
		})
	}
}

// RemoveOptions say how far an rm goes.
type RemoveOptions struct {
	// Stop stops running containers first; otherwise they stay.
	Stop bool
	// Volumes removes anonymous volumes.
	Volumes bool
	Timeout *time.Duration
}

// Remove removes containers that do not run; those of run commands go with
// down.
func Remove(a state.Actual, s Scope, o RemoveOptions) (*Plan, error) {
	if err := s.check(a); err != nil {
		return nil, err
	}
	q := newSequence(a, s)
	containers := s.containers(a, false)
	if o.Stop {
		q.stops(runningOnly(containers), stopWith(o.Timeout), "asked for with --stop", "Stopping", "Stopped")
	} else {
		containers = withoutRunning(containers)
	}
	for i := range containers {
		c := &containers[i]
		step := containerStep(RemoveContainer, removeID(c.Name()), c)
		step.Remove = spec.Remove{Volumes: o.Volumes}
		step.Cause, step.Begin, step.End = "asked for", "Removing", "Removed"
		step.After = []string{stopID(c.Name())}
		q.steps = append(q.steps, step)
	}
	return q.finish()
}

func runningOnly(containers []state.Container) []state.Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c state.Container) bool { return !c.Status.Up() })
}
