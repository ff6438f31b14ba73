package engine

import (
	"errors"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/volume"
)

// collect removes what carries our tag and belongs to no container, network or
// volume that we know: what a kill in the middle of something left. Each thing
// goes by the inverse of what made it.
func (e *Engine) collect(kept map[string]map[string]*os.File) error {
	return errors.Join(
		e.collectGroups(), e.collectMonitors(), e.collectSockets(kept),
		e.collectLinks(), e.collectMounts(), e.collectFolders(), e.collectExits(),
	)
}

// holds reports whether a container has something of the machine.
func (e *Engine) holds(id string) bool {
	l, err := e.life(id)
	if err != nil {
		return false
	}
	c, _, _ := l.look()
	return c.Held
}

func (e *Engine) collectGroups() error {
	groups, err := e.cgroups.List(e.groupRoot())
	for _, name := range groups {
		if e.holds(path.Base(name)) {
			continue
		}
		ctx, cancel := e.collectContext()
		err = errors.Join(err, e.cgroups.Group(name).Remove(ctx))
		cancel()
	}
	return err
}

// collectMonitors ends the monitors of containers that are not known.
func (e *Engine) collectMonitors() error {
	entries, err := os.ReadDir(e.place.MonitorDir())
	if err != nil {
		return ignoreMissing(err)
	}
	var errs []error
	for _, entry := range entries {
		id, _, _ := strings.Cut(entry.Name(), ".")
		if _, err := e.life(id); err == nil {
			continue
		}
		if strings.HasSuffix(entry.Name(), ".sock") {
			e.quitUnknown(id)
		}
		errs = append(errs, ignoreMissing(os.Remove(path.Join(e.place.MonitorDir(), entry.Name()))))
	}
	return errors.Join(errs...)
}

// quitUnknown ends a monitor, if one answers. Its container was ended with its
// control group.
func (e *Engine) quitUnknown(id string) {
	m, err := container.Connect(e.place, id, func(wire.MonitorExit) {})
	if err != nil {
		return // it is gone, and only its socket's name is left
	}
	defer m.Close()
	ctx, cancel := e.collectContext()
	defer cancel()
	if err := m.Quit(ctx); err != nil && !errors.Is(err, wire.ErrClosed) {
		e.log.Warn("monitor of an unknown container does not end", "container", short(id), "err", err)
	}
}

func (e *Engine) collectSockets(kept map[string]map[string]*os.File) error {
	var gone []string
	for id, files := range kept {
		if _, err := e.life(id); err == nil {
			continue // resume has seen to it
		}
		container.CloseFiles(slices.Collect(maps.Values(files)))
		gone = append(gone, id)
	}
	if len(gone) == 0 {
		return nil
	}
	return e.cfg.Keeper.Drop(e.ctx, gone...)
}

func (e *Engine) collectLinks() error {
	if e.newerStands {
		return nil // a newer mycompose may know links that we do not
	}
	links, err := e.host.Links("")
	if err != nil {
		return err
	}
	links = slices.DeleteFunc(links, func(l network.Link) bool { return !e.ours(l) })
	if len(links) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, b := range e.networks {
		known[b.rec.Bridge] = true
	}
	for _, l := range e.all() {
		c, _, _ := l.look()
		for _, p := range c.Places {
			known[p.Link] = known[p.Link] || c.Held
		}
	}
	var unknown []string
	for _, link := range links {
		if !known[link.Name] {
			unknown = append(unknown, link.Name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return e.host.DeleteLinks(unknown...)
}

// ours reports whether a link carries our tag, by its name or by its group.
func (e *Engine) ours(l network.Link) bool {
	return strings.HasPrefix(l.Name, e.linkPrefix()) || l.Group != 0 && (l.Group == e.linkGroup() || l.Group == e.parentGroup())
}

// collectFolders removes folders without an object: half made, or half
// removed.
func (e *Engine) collectFolders() error {
	var errs []error
	sweep := func(dir string, remove func(path string) error, keep func(name string) bool) {
		entries, err := os.ReadDir(dir)
		errs = append(errs, ignoreMissing(err))
		for _, entry := range entries {
			if !keep(entry.Name()) {
				errs = append(errs, remove(path.Join(dir, entry.Name())))
			}
		}
	}
	object := func(k store.Kind) func(string) bool {
		return func(name string) bool {
			// What lies there torn or set aside is left to people.
			files, err := os.ReadDir(path.Join(e.place.State, k.Folder, name))
			return err != nil || slices.ContainsFunc(files, func(f os.DirEntry) bool {
				return strings.HasPrefix(f.Name(), k.File)
			})
		}
	}
	sweep(path.Dir(e.place.ContainerDir("x")), os.RemoveAll, object(store.Container))
	sweep(path.Join(e.place.State, store.Network.Folder), os.RemoveAll, object(store.Network))
	sweep(e.place.VolumesDir(), volume.Remove, func(name string) bool {
		return volume.CheckName(name) != nil || object(store.Volume)(name)
	})
	return errors.Join(errs...)
}

// collectExits removes exit records of containers that are not known.
func (e *Engine) collectExits() error {
	dir := path.Dir(e.place.ExitRecord("x"))
	entries, err := os.ReadDir(dir)
	errs := []error{ignoreMissing(err)}
	for _, entry := range entries {
		if _, err := e.life(strings.TrimSuffix(entry.Name(), ".json")); err != nil {
			errs = append(errs, ignoreMissing(os.Remove(path.Join(dir, entry.Name()))))
		}
	}
	return errors.Join(errs...)
}
