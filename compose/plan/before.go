package plan

import (
	"github.com/mycompose/mycompose/compose/state"
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
		d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, d.want.OneOff.Blueprint)
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
		d.plan.Before.Blueprints = append(d.plan.Before.Blueprints, s.Replica(number))
	}
}
