package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// bindVolumes puts containers in place of the services whose volumes a blueprint
// has: names, which stay the same when the containers are made anew.
func (d *differ) bindVolumes(b *spec.Blueprint) {
	b.VolumesFrom = slices.Clone(b.VolumesFrom)
	for i, from := range b.VolumesFrom {
		service, ok := strings.CutPrefix(from.Container, model.ServicePrefix)
		if !ok {
			continue
		}
		switch owner := d.firstOf(service); {
		case owner != nil:
			b.VolumesFrom[i].Container = owner.name
		case len(d.pending[service]) == 0:
			d.errs = append(d.errs, fmt.Errorf("cannot create %s: service %s, whose volumes it has, has no container", b.Name, service))
		}
	}
}

// volumesOwnerMade names the service whose volumes a container has and whose
// container is made, in place of one that is there or that is gone; or nobody.
func (d *differ) volumesOwnerMade(r *replica) string {
	if r.service == nil || d.policy.NoRecreate {
		return ""
	}
	for _, service := range r.service.VolumeOwners {
		if owner := d.firstOf(service); owner != nil && owner.create {
			return service
		}
	}
	return ""
}
