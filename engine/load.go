package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// load reads the store. Objects that cannot be read are logged and left out.
func (e *Engine) load() error {
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
	if err := e.keepOut(errs); err != nil {
		return err
	}
	if _, err := e.images.List(); err != nil { // found now, so that they are repaired now
		e.log.Error("images cannot be read", "err", err)
	}
	for id, rec := range records {
		if e.names[rec.Blueprint.Name] == foreign {
			continue
		}
		c, ok := conditions[id]
		if !ok {
			c = e.firstCondition(rec)
		}
		e.enter(newLife(rec, c))
	}
	for name, rec := range networks {
		e.networks[name] = newBridge(rec, held[name])
	}
	for name, v := range volumes {
		e.volumes[name] = v
	}
	e.mend()
	return nil
}

// foreign is who has the name of a container that a newer mycompose wrote.
const foreign = "a newer mycompose"

// keepOut keeps us out of the way of objects that a newer mycompose wrote: its
// containers keep their names and their folders. What of it is alive we could
// only hurt: then the engine does not open.
func (e *Engine) keepOut(errs error) error {
	for _, newer := range newerErrors(errs) {
		switch newer.Word {
		case store.Container.Word, store.ContainerStatus.Word:
			lock, err := folder.TryLockFile(e.place.MonitorLock(newer.Name), folder.Exclusive)
			if err != nil {
				return fmt.Errorf("%w, and it runs", newer)
			}
			if err := errors.Join(ignoreMissing(os.Remove(e.place.MonitorLock(newer.Name))), lock.Unlock()); err != nil {
				return err
			}
			var rec record
			if newer.Word == store.ContainerStatus.Word {
				err = e.store.Get(store.Container, newer.Name, &rec)
			} else {
				err = json.Unmarshal(newer.Body, &rec)
			}
			if err == nil && rec.Blueprint.Name != "" {
				e.names[rec.Blueprint.Name] = foreign
			}
		case store.Network.Word, leasesKind().Word:
			links, err := e.host.Links(e.linkPrefix())
			if err != nil {
				return err
			}
			if len(links) > 0 {
				return fmt.Errorf("%w, and networks stand", newer)
			}
		}
	}
	return nil
}

// newerErrors finds them in what store.Load joined.
func newerErrors(err error) []*store.NewerError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*store.NewerError
		for _, err := range joined.Unwrap() {
			out = append(out, newerErrors(err)...)
		}
		return out
	}
	var newer *store.NewerError
	if errors.As(err, &newer) {
		return []*store.NewerError{newer}
	}
	return nil
}

// mend makes anew what the objects that can be read say about those that cannot:
// anonymous volumes, and leases of what runs. All else is for whoever wants it.
func (e *Engine) mend() {
	for _, l := range e.lives {
		for _, name := range l.rec.Anonymous {
			if !e.hasVolume(name) {
				v := spec.Volume{Name: name, Project: l.rec.Blueprint.Project, Anonymous: true}
				if _, err := e.CreateVolume(e.ctx, v); err != nil {
					e.log.Error("anonymous volume is lost", "container", l.name(), "err", err)
				}
			}
		}
		c, _, _ := l.look()
		for _, p := range c.Places {
			b := e.networks[p.Network]
			if b == nil || !c.Held || c.BootID != e.bootID || slices.Contains(slices.Collect(maps.Values(b.leases.Held)), p.Addr) {
				continue
			}
			b.leases.Held[l.id] = p.Addr
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
