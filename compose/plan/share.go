package plan

import (
	"fmt"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// bindNamespaces puts containers in place of the services whose namespaces a
// blueprint is in.
func (d *differ) bindNamespaces(b *spec.Blueprint, owners []*replica) {
	for _, n := range b.Namespaces() {
		service, ok := strings.CutPrefix(*n.Mode, model.ServicePrefix)
		if !ok {
			continue
		}
		switch owner := ofService(owners, service); {
		case owner != nil:
			*n.Mode = spec.ContainerPrefix + owner.name
		case len(d.pending[service]) == 0:
			d.errs = append(d.errs, fmt.Errorf("cannot create %s: service %s, whose %s it shares, has no container", b.Name, service, n.Noun))
		}
	}
}

// owners are the containers whose namespaces a replica shares, one for each
// service: the one it has now, if that stays, otherwise the first of the service.
// Those of services that have none are left out.
func (d *differ) owners(r *replica) []*replica {
	service := r.service
	if service == nil && d.want.OneOff != nil && r.name == d.want.OneOff.Blueprint.Name {
		service = d.want.Service(d.want.OneOff.Service)
	}
	if service == nil {
		return nil
	}
	var out []*replica
	for _, name := range service.NamespaceOwners {
		if owner := d.ownerOf(r, name); owner != nil {
			out = append(out, owner)
		}
	}
	return out
}

func (d *differ) ownerOf(r *replica, service string) *replica {
	if r.actual != nil {
		for _, o := range d.byService[service] {
			if o.stays() && o.actual != nil && r.actual.Blueprint.Shares(o.actual.ID()) {
				return o
			}
		}
	}
	return d.firstOf(service)
}

// ofService is the one of a service, or nil.
func ofService(owners []*replica, service string) *replica {
	for _, o := range owners {
		if o.serviceName() == service {
			return o
		}
	}
	return nil
}

// sharedNoun says what a container that is there shares with an owner.
func sharedNoun(r, owner *replica) string {
	for _, n := range r.actual.Blueprint.Namespaces() {
		if owner.actual != nil && n.Owner() == owner.actual.ID() {
			return n.Noun
		}
	}
	return "namespace"
}

// sameNamespaces makes what a container has equal to what is wanted where both
// mean one owner; follow says in better words that an owner is recreated.
// What differs is returned.
func sameNamespaces(have *spec.Blueprint, want spec.Blueprint, owners []*replica) (gone []spec.Namespace) {
	wanted := want.Namespaces()
	for i, n := range have.Namespaces() {
		for _, owner := range owners {
			if wanted[i].Owner() != owner.name {
				continue
			}
			same := owner.actual != nil && n.Owner() == owner.actual.ID()
			if owner.recreated() && n.Owner() != "" || !owner.recreated() && same {
				*n.Mode = *wanted[i].Mode
			}
			if *n.Mode != *wanted[i].Mode {
				gone = append(gone, n)
			}
		}
	}
	return gone
}
