package plan

import "github.com/mycompose/mycompose/engine/spec"

// follow finds what must follow a change elsewhere, until nothing is added:
//
//	owner of a shared namespace recreated    its sharers are recreated
//	owner of volumes made                    who has them by volumes_from is recreated
//	owner stopped and started                its sharers are too
//	dependency with restart: true changed    its dependants are stopped and started
//	network made anew                        its containers are stopped and started
//	volume made anew                         its containers are recreated
func (d *differ) follow() {
	if d.policy.NoRecreate {
		d.remade = map[string]string{}
	}
	for changed := true; changed; {
		changed = false
		for _, r := range d.all {
			if d.followOne(r) {
				changed = true
			}
		}
	}
}

func (d *differ) followOne(r *replica) bool {
	if r.actual == nil || r.remove {
		return false
	}
	for _, owner := range d.owners(r) {
		if owner.recreated() {
			d.remake(r, "service "+owner.serviceName()+", whose "+sharedNoun(r, owner)+" it shares, is recreated")
			return true
		}
	}
	for _, m := range r.actual.Blueprint.Mounts {
		if cause := d.remadeVolumes[m.Source]; m.Type == spec.MountVolume && cause != "" && r.service != nil {
			d.remake(r, "volume "+m.Source+" is made anew")
			return true
		}
	}
	if owner := d.volumesOwnerMade(r); owner != "" {
		d.remake(r, "service "+owner+", whose volumes it has, is made anew")
		return true
	}
	if r.stop || !r.actual.Status.Up() {
		return false
	}
	cause := d.followCause(r)
	if cause == "" {
		return false
	}
	r.stop, r.start, r.cause = true, true, cause
	return true
}

// remake recreates a container. One that is down and not part of the operation
// stays down.
func (d *differ) remake(r *replica, cause string) {
	if r.blueprint.Name == "" {
		d.shape(r)
	}
	running := r.actual.Status.Up()
	r.recreate(cause, d.policy)
	r.start = r.start && (running || r.service.Mode.Active())
}

// followCause says why a running container must be stopped and started.
func (d *differ) followCause(r *replica) string {
	for _, at := range r.actual.Blueprint.Networks {
		if cause := d.remade[at.Network]; cause != "" {
			return "network " + at.Network + " is made anew"
		}
	}
	for _, owner := range d.owners(r) {
		if owner.stop && owner.start {
			return "service " + owner.serviceName() + ", whose " + sharedNoun(r, owner) + " it shares, is restarted"
		}
	}
	for _, dep := range r.depends {
		if !dep.Restart {
			continue
		}
		for _, other := range d.byService[dep.Service] {
			if other.recreated() || (other.stop && other.start) {
				return "depends on " + dep.Service + " with restart: true"
			}
		}
	}
	return ""
}
