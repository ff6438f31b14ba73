package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// storage finds the networks that must be made anew, what is external and
// missing, and what belongs to somebody else.
func (d *differ) storage() {
	for i := range d.want.Networks {
		n := &d.want.Networks[i]
		have, ok := d.actual.Networks[n.Spec.Name]
		switch {
		case !d.used(n.Users):
		case n.External && !ok:
			d.errs = append(d.errs, noNetwork(n))
		case n.External || n.Shared || !ok:
		case have.Labels[state.LabelProject] != d.want.Project:
			d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("a network with name %s exists but was not created by compose.\n"+
				"Set `external: true` to use an existing network", n.Spec.Name))
		default:
			if causes := explainNetwork(have, n); len(causes) > 0 {
				d.remade[n.Spec.Name] = strings.Join(causes, "; ")
			}
		}
	}
	for i := range d.want.Volumes {
		v := &d.want.Volumes[i]
		have, ok := d.actual.Volumes[v.Spec.Name]
		switch {
		case !d.used(v.Users):
		case v.External && !ok:
			d.errs = append(d.errs, spec.Errorf(spec.ErrNotFound, "%sexternal volume %q not found", placed(v.Where), v.Spec.Name))
		case v.External || !ok:
		case have.Labels[state.LabelProject] != d.want.Project:
			d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("volume %q already exists but was not created by Docker Compose. "+
				"Use `external: true` to use an existing volume", v.Spec.Name))
		default:
			causes := explainVolume(have, v)
			if len(causes) > 0 && d.policy.RecreateVolumes && !d.policy.NoRecreate {
				d.remadeVolumes[v.Spec.Name] = strings.Join(causes, "; ")
			} else if len(causes) > 0 {
				d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("Volume %q exists but doesn't match configuration in compose file (%s). "+
					"It is kept as it is; up -y makes it anew, and its content is lost", v.Spec.Name, strings.Join(causes, "; ")))
			}
		}
	}
}

// noNetwork is the error of an external network that is not there.
func noNetwork(n *state.Network) error {
	return spec.Errorf(spec.ErrNotFound, "%snetwork %s declared as external, but could not be found", placed(n.Where), n.Spec.Name)
}

// placed puts a place in the compose file before a message.
func placed(where string) string {
	if where == "" {
		return ""
	}
	return where + ": "
}

// used reports whether the operation brings up a service that uses something.
func (d *differ) used(users []string) bool {
	return slices.ContainsFunc(users, func(name string) bool {
		s := d.want.Service(name)
		return s != nil && d.needsImage(s)
	})
}

// emitNetworks adds the steps of the networks that decided containers use.
func (d *differ) emitNetworks() {
	for i := range d.want.Networks {
		n := &d.want.Networks[i]
		name := n.Spec.Name
		_, exists := d.actual.Networks[name]
		cause, remade := d.remade[name]
		if n.External || (exists && !remade) || !(d.buildsOn(name) || d.usedByPlan(func(b *spec.Blueprint) bool { return joins(b, name) })) {
			continue
		}
		step := createNetwork(n)
		if remade {
			step.Cause, step.After = cause, []string{unnetworkID(name)}
			d.steps = append(d.steps, Step{
				ID: unnetworkID(name), Kind: RemoveNetwork, Target: name, Cause: cause,
				Begin: "Removing", End: "Removed", After: d.partings(name),
			})
		}
		d.steps = append(d.steps, step)
	}
}

func createNetwork(n *state.Network) Step {
	network := n.Spec
	return Step{
		ID: networkID(network.Name), Kind: CreateNetwork, Target: network.Name, Network: &network,
		Cause: "does not exist", Begin: "Creating", End: "Created",
	}
}

// partings are the steps that take the containers off a network.
func (d *differ) partings(network string) []string {
	var out []string
	for _, r := range d.all {
		if r.actual == nil || !joins(&r.actual.Blueprint, network) {
			continue
		}
		if r.stop {
			out = append(out, stopID(r.oldName()))
		}
		if r.remove {
			out = append(out, removeID(r.oldName()))
		}
	}
	return out
}

// emitVolumes adds the steps of the volumes that decided containers use.
func (d *differ) emitVolumes() {
	for i := range d.want.Volumes {
		v := &d.want.Volumes[i]
		name := v.Spec.Name
		_, exists := d.actual.Volumes[name]
		cause, remade := d.remadeVolumes[name]
		if exists && !remade || v.External || !d.usedByPlan(func(b *spec.Blueprint) bool { return mounts(b, name) }) {
			continue
		}
		volume := v.Spec
		step := Step{
			ID: volumeID(name), Kind: CreateVolume, Target: name, Volume: &volume,
			Cause: "does not exist", Begin: "Creating", End: "Created",
		}
		if remade {
			step.Cause, step.After = cause, []string{unvolumeID(name)}
			d.steps = append(d.steps, Step{
				ID: unvolumeID(name), Kind: RemoveVolume, Target: name, Cause: cause,
				Begin: "Removing", End: "Removed", After: d.partingsOfVolume(name),
			})
		}
		d.steps = append(d.steps, step)
	}
}

// partingsOfVolume are the steps that remove the containers that have a volume:
// their own, or by volumes_from, over any number of containers.
func (d *differ) partingsOfVolume(volume string) (out []string) {
	has := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for _, r := range d.all {
			if r.actual == nil || has[r.oldName()] {
				continue
			}
			b := &r.actual.Blueprint
			if mounts(b, volume) || slices.ContainsFunc(b.VolumesFrom, func(from spec.VolumesFrom) bool { return has[from.Container] }) {
				has[r.oldName()], changed = true, true
				out = append(out, removeID(r.oldName()))
			}
		}
	}
	return out
}

// usedByPlan reports whether a container that the plan creates or starts uses
// something.
func (d *differ) usedByPlan(uses func(*spec.Blueprint) bool) bool {
	return slices.ContainsFunc(d.all, func(r *replica) bool {
		return (r.create && uses(&r.blueprint)) || (r.start && !r.create && uses(&r.actual.Blueprint))
	})
}

func joins(b *spec.Blueprint, network string) bool {
	return slices.ContainsFunc(b.Networks, func(at spec.Attachment) bool { return at.Network == network })
}

func mounts(b *spec.Blueprint, volume string) bool {
	return slices.ContainsFunc(b.Mounts, func(m spec.Mount) bool {
		return m.Type == spec.MountVolume && m.Source == volume
	})
}
