package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mycompose/mycompose/compose/state"
)

// Diff returns what leads from actual to want. Errors are joined and name what
// the user wrote: a missing external network, an image that may not be pulled.
func Diff(want state.Desired, actual state.Actual, policy Policy) (*Plan, error) {
	return diff(inputs{want: want, actual: actual, policy: policy})
}

func diff(in inputs) (*Plan, error) {
	d := &differ{
		inputs: in, plan: &Plan{Project: in.want.Project, IDs: idsOf(in.actual), again: &in},
		imageSteps: map[string]string{}, pending: map[string][]string{},
		byService: map[string][]*replica{}, remade: map[string]string{}, remadeVolumes: map[string]string{}, waits: map[string]bool{},
	}
	d.images()
	d.storage()
	d.suspend()
	d.holdRemade()
	if err := d.replicas(); err != nil {
		return nil, err
	}
	d.oneOff()
	d.orphans()
	d.follow()
	d.emit()
	d.before()
	if err := errors.Join(d.errs...); err != nil {
		return nil, err
	}
	d.plan.Pending = d.pendingNames()
	if err := d.plan.finish(d.steps); err != nil {
		return nil, fmt.Errorf("cannot order the steps of project %s: %w", in.want.Project, err)
	}
	return d.plan, nil
}

// differ is one run of Diff.
type differ struct {
	inputs
	plan  *Plan
	steps []Step
	errs  []error

	// imageSteps maps an image reference to the id of the step that gets it.
	imageSteps map[string]string
	// pending maps a service to the ids of the image steps it hangs on.
	pending map[string][]string
	// all and byService hold every container of decided services, wanted or
	// there, and then orphans.
	all       []*replica
	byService map[string][]*replica
	// waits are the ids of the wait steps that there are.
	waits map[string]bool
	// remade maps networks that are removed and created anew to the cause.
	remade map[string]string
	// remadeVolumes is the same for volumes.
	remadeVolumes map[string]string
}

// suspend spreads pending over the services whose containers hang on those of
// a pending service: its namespace, its restart, a network made anew.
func (d *differ) suspend() {
	for changed := true; changed; {
		changed = false
		for i := range d.want.Services {
			s := &d.want.Services[i]
			for _, on := range d.hangsOn(s) {
				if len(d.pending[on]) > 0 && d.hang(s.Name, d.pending[on]) {
					changed = true
				}
			}
		}
		for _, users := range d.usersOfRemade() {
			for _, user := range users {
				for _, other := range users {
					if len(d.pending[other]) > 0 && d.hang(user, d.pending[other]) {
						changed = true
					}
				}
			}
		}
	}
}

// usersOfRemade are the services of each network and volume that is made anew.
func (d *differ) usersOfRemade() (out [][]string) {
	for i := range d.want.Networks {
		if n := &d.want.Networks[i]; d.remade[n.Spec.Name] != "" {
			out = append(out, n.Users)
		}
	}
	for i := range d.want.Volumes {
		if v := &d.want.Volumes[i]; d.remadeVolumes[v.Spec.Name] != "" {
			out = append(out, v.Users)
		}
	}
	return out
}

// holdRemade leaves networks and volumes as they are for now while a service
// that uses them is pending.
func (d *differ) holdRemade() {
	pending := func(user string) bool { return len(d.pending[user]) > 0 }
	for i := range d.want.Networks {
		if n := &d.want.Networks[i]; slices.ContainsFunc(n.Users, pending) {
			delete(d.remade, n.Spec.Name)
		}
	}
	for i := range d.want.Volumes {
		if v := &d.want.Volumes[i]; slices.ContainsFunc(v.Users, pending) {
			delete(d.remadeVolumes, v.Spec.Name)
		}
	}
}

// pendingNames are the pending services, and the container of a pending run.
func (d *differ) pendingNames() []string {
	var out []string
	for name := range d.pending {
		if name == oneOffKey {
			name = d.want.OneOff.Blueprint.Name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// hang adds image steps to those that a service waits for, and reports whether
// any was new.
func (d *differ) hang(service string, steps []string) bool {
	changed := false
	for _, step := range steps {
		if !slices.Contains(d.pending[service], step) {
			d.pending[service] = append(d.pending[service], step)
			changed = true
		}
	}
	return changed
}

// hangsOn names the services whose recreation changes the containers of s.
func (d *differ) hangsOn(s *state.Service) []string {
	var out []string
	out = append(out, s.NamespaceOwners...)
	out = append(out, s.VolumeOwners...)
	for _, dep := range s.Depends {
		if dep.Restart {
			out = append(out, dep.Service)
		}
	}
	return out
}
