package engine

import (
	"errors"
	"maps"
	"net/netip"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// load reads the store. Objects that cannot be read are logged and left out.
func (e *Engine) load() error {
	all, err := e.read()
	if err != nil {
		return err
	}
	if _, err := e.images.List(); err != nil { // found now, so that they are repaired now
		e.log.Error("images cannot be read", "err", err)
	}
	for id, rec := range all.records {
		c, ok := all.conditions[id]
		if !ok {
			c = e.firstCondition(rec)
		}
		l := newLife(rec, c)
		l.newer = all.newerContainers[id]
		e.enter(l)
	}
	for name, rec := range all.networks {
		b := newBridge(rec, all.leases[name])
		b.newer = all.newerNetworks[name]
		e.networks[name] = b
	}
	for name, v := range all.volumes {
		e.volumes[name] = v
		e.left[name] = v.Left != nil
	}
	e.mend()
	return nil
}

// read reads the objects of the engine.
func (e *Engine) read() (*loaded, error) {
	records, errs := store.Load[record](e.store, store.Container)
	conditions, err := store.Load[condition](e.store, store.ContainerStatus)
	errs = errors.Join(errs, err)
	networks, err := store.Load[networkRecord](e.store, store.Network)
	errs = errors.Join(errs, err)
	held, err := store.Load[leases](e.store, leasesKind())
	errs = errors.Join(errs, err)
	volumes, err := store.Load[spec.Volume](e.store, store.Volume)
	if errs = errors.Join(errs, err); errs != nil {
		e.log.Error("objects cannot be read", "err", errs)
	}
	all := &loaded{records: records, conditions: conditions, networks: networks, leases: held, volumes: volumes}
	all.addNewer(errs)
	for name := range all.newerNetworks {
		rec := all.networks[name]
		known, err := e.completeNetwork(name, &rec, conditions)
		if err != nil {
			return nil, err
		}
		if all.networks[name] = rec; !known {
			delete(all.networks, name)
		}
	}
	e.newerStands = len(all.newerContainers)+len(all.newerNetworks) > 0
	return all, nil
}

// mend makes anew what the objects that can be read say about those that cannot:
// anonymous volumes, and leases of what runs; and it ends leases of containers that
// are not there. All else is for whoever wants it.
func (e *Engine) mend() {
	for _, b := range e.networks {
		for _, held := range []map[string]netip.Addr{b.leases.Held, b.leases.Held6} {
			maps.DeleteFunc(held, func(key string, _ netip.Addr) bool { return b.newer == nil && validID(key) && e.lives[key] == nil })
		}
	}
	for _, l := range e.lives {
		e.mendLeft(l)
		for _, name := range l.rec.Anonymous {
			if !e.hasVolume(name) {
				if err := e.anonymous(l.rec.Blueprint.Project, name); err != nil {
					e.log.Error("anonymous volume is lost", "container", l.name(), "err", err)
				}
			}
		}
		c, _, _ := l.look()
		for _, p := range c.Places {
			b := e.networks[p.Network]
			if b == nil || !c.Held || c.BootID != e.bootID || b.leased(p.main()) {
				continue
			}
			if p.Addr.IsValid() {
				b.leases.Held[l.id] = p.Addr
			}
			if p.Addr6.IsValid() {
				b.leases.Held6[l.id] = p.Addr6
			}
		}
	}
}

// firstCondition is that of a container that was never started.
func (e *Engine) firstCondition(rec record) condition {
	process, err := container.Resolve(rec.blueprint(), rec.Image)
	if err != nil {
		e.log.Error("container cannot be started any more", "container", rec.Blueprint.Name, "err", err)
	}
	return condition{Status: spec.Status{
		State: spec.StateCreated, CreatedAt: rec.CreatedAt, Command: process.Args,
		ExposedPorts: exposed(rec), Volumes: volumesOf(rec),
	}}
}
