package plan

import (
	"fmt"
	"strings"

	"github.com/mycompose/mycompose/compose/graph"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// replica is one container, wanted or there or both, and what happens to it.
type replica struct {
	service   *state.Service // nil: an orphan or a one-off
	name      string         // the wanted name, or the actual one if unwanted
	number    int
	actual    *state.Container
	blueprint spec.Blueprint // for create
	depends   []model.Dependency
	cause     string
	reasons   []string // of a recreate, one for each difference

	stop, remove, create, start bool
	// done: it has ended as its dependants ask, and is not run again.
	done bool
}

// oldName is the name that the container has.
func (r *replica) oldName() string {
	if r.actual != nil {
		return r.actual.Name()
	}
	return r.name
}

func (r *replica) serviceName() string {
	switch {
	case r.service != nil:
		return r.service.Name
	case r.actual != nil:
		return r.actual.Service
	}
	return r.blueprint.Labels[state.LabelService]
}

// recreated: a new container takes the place of the old one.
func (r *replica) recreated() bool { return r.remove && r.create }

// stays: the container is there after the plan.
func (r *replica) stays() bool { return !r.remove || r.create }

// up: the container runs after the plan.
func (r *replica) up() bool {
	return r.start || (r.actual != nil && !r.stop && !r.remove && r.actual.Status.Up())
}

// replicas decides for each container of each service that is not pending;
// owners of a namespace come before those that share it.
func (d *differ) replicas() error {
	g := &graph.Graph[string]{}
	for i := range d.want.Services {
		s := &d.want.Services[i]
		g.Add(s.Name)
		g.Add(s.Name, s.NamespaceOwners...)
		g.Add(s.Name, s.VolumeOwners...)
	}
	order, err := g.Order()
	if err != nil {
		return fmt.Errorf("cannot share namespaces and volumes: %w", err)
	}
	for _, name := range order {
		s := d.want.Service(name)
		if s == nil || len(d.pending[name]) > 0 {
			continue
		}
		if s.Mode.Active() {
			d.decide(s)
		} else {
			d.leave(s)
		}
	}
	return nil
}

// leave takes in the containers of a service that is not part of the operation.
func (d *differ) leave(s *state.Service) {
	for _, c := range d.actual.Replicas(s.Name) {
		d.add(&replica{service: s, name: c.Name(), number: c.Number, actual: &c, depends: s.Depends})
	}
}

func (d *differ) add(r *replica) {
	d.all = append(d.all, r)
	d.byService[r.serviceName()] = append(d.byService[r.serviceName()], r)
}

// decide says what happens to the containers of a service.
func (d *differ) decide(s *state.Service) {
	have := d.actual.Replicas(s.Name)
	taken := map[int]bool{}
	for i, c := range have {
		r := &replica{service: s, name: c.Name(), number: c.Number, actual: &c, depends: s.Depends}
		taken[c.Number] = true
		if i < s.Scale {
			d.keep(r)
		} else {
			r.cause = fmt.Sprintf("scale %d → %d", len(have), s.Scale)
			r.stop, r.remove = c.Status.Up(), true
		}
		d.add(r)
	}
	number := 1
	for n := len(have); n < s.Scale; n++ {
		for taken[number] {
			number++
		}
		taken[number] = true
		r := &replica{service: s, number: number, depends: s.Depends, create: true, start: !d.policy.NoStart}
		r.cause = state.CauseMissing
		if len(have) > 0 && n >= len(have) {
			r.cause = fmt.Sprintf("scale %d → %d", len(have), s.Scale)
		}
		d.shape(r)
		d.add(r)
	}
}

// keep decides for a container that stays: as it is, started, or made anew.
func (d *differ) keep(r *replica) {
	d.shape(r)
	done := !d.policy.Since.IsZero() && !r.actual.Status.CreatedAt.Before(d.policy.Since)
	causes := explain(r.actual.Blueprint, r.blueprint, d.owners(r))
	if d.policy.ForceRecreate && r.service.Mode == state.Selected && !done {
		causes = append(causes, "asked for with --force-recreate")
	}
	if d.policy.RecreateDependencies && r.service.Mode == state.Needed && !done {
		causes = append(causes, "asked for with --always-recreate-deps")
	}
	if len(causes) > 0 && !d.policy.NoRecreate {
		r.recreate(strings.Join(causes, "; "), d.policy)
		r.reasons = causes
		return
	}
	r.name = r.actual.Name()
	if r.done = d.completed(r); !r.done {
		d.startIfDown(r)
	}
}

// completed reports whether a container has done what it is for: it has ended
// with 0, will not be restarted, and its completion is what another service
// waits for. Here we differ from docker compose, which runs a migration again
// with each up.
func (d *differ) completed(r *replica) bool {
	status := r.actual.Status
	if status.State != spec.StateExited || status.ExitCode != 0 {
		return false
	}
	switch r.actual.Blueprint.Restart.Policy {
	case "", spec.RestartNo, spec.RestartOnFailure:
	default:
		return false
	}
	for i := range d.want.Services {
		for _, dep := range d.want.Services[i].Depends {
			if dep.Service == r.service.Name && dep.Condition == model.Completed {
				return true
			}
		}
	}
	return false
}

func (r *replica) recreate(cause string, policy Policy) {
	r.cause = cause
	r.stop, r.remove, r.create = r.actual.Status.Up(), true, true
	r.start = !policy.NoStart
	r.done = false
	inheritVolumes(&r.blueprint, r.actual.Container, policy.RenewAnonymous)
	if r.blueprint.ImageDigest == "" { // a service that is not part of the operation
		r.blueprint.ImageDigest = r.actual.Blueprint.ImageDigest
		r.blueprint.Labels[state.LabelImage] = r.blueprint.ImageDigest
	}
	r.blueprint.Labels[state.LabelReplace] = r.actual.Name()
}

// startIfDown starts a container that does not run, also a one-shot that has
// ended by itself, unless this very operation has run it. One in back-off is
// about to run, but its policy would not run the hooks that are due.
func (d *differ) startIfDown(r *replica) {
	status := r.actual.Status
	due := status.State == spec.StateRestarting && status.HooksDue
	if status.Up() && !due || d.policy.NoStart {
		return
	}
	if status.State == spec.StateExited && !status.StoppedByUser && !d.policy.Since.IsZero() && !status.StartedAt.Before(d.policy.Since) {
		return
	}
	r.start = true
	r.cause = "was created and never started"
	switch status.State {
	case spec.StateRestarting:
		r.cause = "is restarting, and its hooks have not succeeded yet"
	case spec.StateExited:
		r.cause = fmt.Sprintf("has exited (%d)", status.ExitCode)
	}
}

// shape fills in the wanted blueprint of a replica.
func (d *differ) shape(r *replica) {
	r.blueprint = r.service.Replica(r.number)
	r.name = r.blueprint.Name
	d.bind(&r.blueprint, d.owners(r))
}

// bind puts the known image digest and the owners of shared namespaces into a
// blueprint.
func (d *differ) bind(b *spec.Blueprint, owners []*replica) {
	if image, ok := d.image(b.Image); ok {
		b.ImageDigest = image.Digest
		b.Labels[state.LabelImage] = image.Digest
	}
	d.bindVolumes(b)
	d.bindNamespaces(b, owners)
}

// firstOf returns the container of a service with the lowest number, or nil.
func (d *differ) firstOf(service string) *replica {
	var first *replica
	for _, r := range d.byService[service] {
		if r.stays() && (first == nil || r.number < first.number) {
			first = r
		}
	}
	return first
}

// oneOff takes in the container of a run command.
func (d *differ) oneOff() {
	if d.want.OneOff == nil || len(d.pending[oneOffKey]) > 0 {
		return
	}
	s := d.want.Service(d.want.OneOff.Service)
	r := &replica{name: d.want.OneOff.Blueprint.Name, blueprint: d.want.OneOff.Blueprint, depends: s.Depends, cause: "run of " + s.Name}
	r.create, r.start = true, d.want.OneOff.Start && !d.policy.NoStart
	d.bind(&r.blueprint, d.owners(r))
	for _, c := range d.actual.Containers {
		same := c.Blueprint.Labels[state.LabelSlug] == r.blueprint.Labels[state.LabelSlug]
		if c.Name() == r.name && c.OneOff && same { // made before this very operation was interrupted
			r.actual, r.create, r.start = &c, false, false
			if d.want.OneOff.Start {
				d.startIfDown(r)
			}
		}
	}
	d.all = append(d.all, r)
}

// orphans removes containers of services that the file lacks, or warns.
func (d *differ) orphans() {
	var names []string
	for _, c := range d.actual.Containers {
		if d.want.Known[c.Service] {
			continue
		}
		r := &replica{name: c.Name(), number: c.Number, actual: &c}
		if d.policy.RemoveOrphans {
			r.stop, r.remove, r.cause = c.Status.Up(), true, "service "+c.Service+" is not in the file"
		} else {
			names = append(names, c.Name())
		}
		d.add(r)
	}
	if len(names) > 0 && !d.policy.IgnoreOrphans {
		d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("Found orphan containers (%s) for this project. "+
			"If you removed or renamed this service in your compose file, you can run this command with the "+
			"--remove-orphans flag to clean it up.%s", strings.Join(names, ", "), d.otherFolder()))
	}
}

// otherFolder says that orphans come from a file in another folder, which has the
// project's name too.
func (d *differ) otherFolder() string {
	for _, c := range d.actual.Containers {
		dir := c.Blueprint.Labels[state.LabelWorkingDir]
		if !d.want.Known[c.Service] && dir != "" && dir != d.want.Dir {
			return fmt.Sprintf(" %s was started in %s, whose project is named %s too: give one of them another name "+
				"(name: in the file, or -p).", c.Name(), dir, d.want.Project)
		}
	}
	return ""
}
