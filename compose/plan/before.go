package plan

import (
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// before gathers what the backend is asked before the first step.
func (d *differ) before() {
	for _, r := range d.all {
		switch {
		case r.create:
			d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, r.blueprint)
		case r.start && r.actual != nil:
			d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, r.actual.Blueprint)
		}
		if r.actual != nil && (r.stop || r.remove) {
			d.plan.Before.Except = append(d.plan.Before.Except, r.actual.ID())
		}
	}
	for i := range d.want.Services {
		s := &d.want.Services[i]
		if len(d.pending[s.Name]) == 0 || !s.Mode.Active() {
			continue
		}
		d.beforePending(s)
	}
	if d.want.OneOff != nil && len(d.pending[oneOffKey]) > 0 {
		d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, d.named(d.want.OneOff.Blueprint))
	}
	for i := range d.want.Networks {
		n := &d.want.Networks[i]
		if _, exists := d.actual.Networks[n.Spec.Name]; !n.External && d.used(n.Users) && (!exists || d.remade[n.Spec.Name] != "") {
			d.plan.Before.Networks = append(d.plan.Before.Networks, n.Spec)
		}
	}
}

func (d *differ) beforePending(s *state.Service) {
	have := d.actual.Replicas(s.Name)
	for i := range have {
		d.plan.Before.Except = append(d.plan.Before.Except, have[i].ID())
	}
	for n := range s.Scale {
		number := n + 1
		if n < len(have) {
			number = have[n].Number
		}
		d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, d.named(s.Replica(number)))
	}
}

// Touches is what exists and the steps change; of a pending service all that there
// is.
func (p *Plan) Touches() spec.Touched {
	t := spec.Touched{Containers: slices.Clone(p.Before.Except)}
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Kind {
		case RemoveNetwork:
			t.Networks = append(t.Networks, s.Target)
		case RemoveVolume:
			t.Volumes = append(t.Volumes, s.Target)
		case StartContainer, StopContainer, KillContainer, RemoveContainer, PauseContainer, UnpauseContainer, PostStart:
			if s.Container != "" && !slices.Contains(t.Containers, s.Container) {
				t.Containers = append(t.Containers, s.Container)
			}
		}
	}
	return t
}

// named puts the names that the owners of shared namespaces and of
// volumes will likely have into the blueprint of a pending container: a backend knows no services.
func (d *differ) named(b spec.Blueprint) spec.Blueprint {
	b.VolumesFrom = slices.Clone(b.VolumesFrom)
	for i, from := range b.VolumesFrom {
		if service, ok := strings.CutPrefix(from.Container, model.ServicePrefix); ok {
			if owner := d.want.Service(service); owner != nil {
				b.VolumesFrom[i].Container = owner.ContainerName(1)
			}
		}
	}
	for _, n := range b.Namespaces() {
		if service, ok := strings.CutPrefix(*n.Mode, model.ServicePrefix); ok {
			if owner := d.want.Service(service); owner != nil {
				*n.Mode = spec.ContainerPrefix + owner.ContainerName(1)
			}
		}
	}
	return b
}
