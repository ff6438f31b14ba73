package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// Containers lists those of a project ("" is all), sorted by name.
func (e *Engine) Containers(_ context.Context, project string) ([]spec.Container, error) {
	out := []spec.Container{}
	for _, l := range e.all() {
		if project == "" || l.rec.Blueprint.Project == project {
			out = append(out, l.container())
		}
	}
	return out, nil
}

// Inspect is what is known about one container.
func (e *Engine) Inspect(_ context.Context, id string) (spec.Container, error) {
	l, err := e.life(id)
	if err != nil {
		return spec.Container{}, err
	}
	return l.container(), nil
}

// CreateContainer makes a container without starting it. An equal one is
// success; the same name with another blueprint is spec.ErrConflict.
func (e *Engine) CreateContainer(ctx context.Context, b spec.Blueprint) (spec.Container, error) {
	if err := checkBlueprint(b); err != nil {
		return spec.Container{}, err
	}
	id := b.ID
	if id == "" {
		id = newID()
	}
	if there, err := e.claim(b, id); err != nil || there != nil {
		if err != nil {
			return spec.Container{}, err
		}
		return there.container(), nil
	}
	l, err := e.create(ctx, b, id)
	e.mu.Lock()
	if err != nil {
		delete(e.names, b.Name)
	} else {
		e.enter(l)
	}
	e.mu.Unlock()
	if err != nil {
		return spec.Container{}, fmt.Errorf("cannot create container %s: %w", b.Name, err)
	}
	e.leaveVolumes(&l.rec, false)
	e.tell(l, "create")
	return l.container(), nil
}

// claim takes the name, or returns the container that is there already and
// equal.
func (e *Engine) claim(b spec.Blueprint, id string) (*life, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	owner, taken := e.names[b.Name]
	if l := e.lives[owner]; l != nil {
		if l.rec.equalBlueprint(b) {
			return l, nil
		}
		return nil, spec.Errorf(spec.ErrConflict, "container name %s is in use by %s", b.Name, short(owner))
	}
	if taken {
		return nil, spec.Errorf(spec.ErrConflict, "container name %s is being made or removed", b.Name)
	}
	if e.lives[id] != nil {
		return nil, spec.Errorf(spec.ErrConflict, "container id %s is in use", short(id))
	}
	e.names[b.Name] = ""
	return nil, nil
}

// create makes the container's folder, volumes and record.
func (e *Engine) create(ctx context.Context, b spec.Blueprint, id string) (_ *life, err error) {
	digest := b.ImageDigest
	if digest == "" {
		found, _, err := e.images.Find(b.Image)
		if err != nil {
			return nil, missingImage(b.Image, err)
		}
		digest = found.Digest
	}
	// From reading the image's record until ours names it, nobody deletes it.
	image, free, err := e.images.Hold(ctx, digest)
	if err != nil {
		return nil, missingImage(b.Image, err)
	}
	defer free()
	if err := e.checkNeeds(b); err != nil {
		return nil, err
	}
	rec := record{ID: id, Blueprint: b, Image: configOf(&image), ImageDigest: digest, CreatedAt: time.Now()}
	process, err := container.Resolve(rec.blueprint(), rec.Image)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.forget(&rec, true))
		}
	}()
	if err := e.makeFolder(id); err != nil {
		return nil, err
	}
	if err := e.findMounts(ctx, &rec); err != nil {
		return nil, err
	}
	made := rec.Anonymous // what a failure takes away again
	rec.Anonymous = slices.Concat(made, e.adopted(&rec, made))
	if err := e.store.Put(store.Container, id, rec, store.Cached); err != nil {
		rec.Anonymous = made
		return nil, err
	}
	return newLife(rec, condition{Status: spec.Status{
		State: spec.StateCreated, CreatedAt: rec.CreatedAt, Command: process.Args,
		ExposedPorts: exposed(rec), Volumes: volumesOf(rec),
	}}), nil
}

func (e *Engine) makeFolder(id string) error {
	if err := e.upperWorks(); err != nil {
		return err
	}
	dir := e.place.ContainerDir(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, mode := range map[string]os.FileMode{upperName: 0o755, workName: 0o700} {
		if err := os.Mkdir(path.Join(dir, name), mode); err != nil {
			return err
		}
	}
	return nil
}

// upperWorks tries once a boot whether the state folder can hold containers'
// changes: the end of an overlay syncs all of its file system. Then it lays out
// the folder of their folders.
func (e *Engine) upperWorks() error {
	e.upperOnce.Do(func() {
		var st unix.Stat_t
		if e.upperErr = unix.Stat(e.place.State, &st); e.upperErr != nil {
			return
		}
		where := fmt.Sprintf("device %d, inode %d", st.Dev, st.Ino)
		if tried, err := os.ReadFile(e.place.UpperTried()); err == nil && string(tried) == where {
			return
		}
		if e.upperErr = rootfs.CheckUpper(e.place.State); e.upperErr == nil {
			e.spread(path.Dir(e.place.ContainerDir("x")))
			_ = writeAnew(e.place.UpperTried(), where) // or it is tried again
		}
	})
	return e.upperErr
}

// spread makes the folder of containers' folders and has them lie apart where
// that is faster; it is a wish.
func (e *Engine) spread(containers string) {
	err := os.MkdirAll(containers, 0o700)
	if err == nil {
		err = rootfs.Spread(containers)
	}
	if err != nil {
		e.log.Warn("containers' folders are not spread", "err", err)
	}
}

// findMounts completes the blueprint's mounts with the image's volumes that it
// leaves open, and makes the volumes that are missing.
func (e *Engine) findMounts(ctx context.Context, rec *record) error {
	covered := map[string]bool{}
	for _, m := range rec.Blueprint.Mounts {
		covered[path.Clean(m.Target)] = true
		rec.Mounts = append(rec.Mounts, m)
	}
	if err := e.borrow(rec, covered); err != nil {
		return err
	}
	for _, target := range rec.Image.Volumes {
		if !covered[path.Clean(target)] {
			rec.Mounts = append(rec.Mounts, spec.Mount{Type: spec.MountVolume, Target: path.Clean(target)})
		}
	}
	for i := range rec.Mounts {
		m := &rec.Mounts[i]
		if m.Type != spec.MountVolume {
			continue
		}
		if m.Source != "" {
			if !e.hasVolume(m.Source) {
				return spec.Errorf(spec.ErrNotFound, "volume %s not found", m.Source)
			}
			continue
		}
		if m.Source = e.leftFor(rec.Blueprint, m.Target); m.Source != "" {
			continue
		}
		m.Source = newID()
		rec.Anonymous = append(rec.Anonymous, m.Source)
		v := spec.Volume{Name: m.Source, Project: rec.Blueprint.Project, Anonymous: true}
		if _, err := e.CreateVolume(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// borrow adds the mounts of the containers that the blueprint names for that. A
// tmpfs holds nothing that could be shared.
func (e *Engine) borrow(rec *record, covered map[string]bool) error {
	for _, from := range rec.Blueprint.VolumesFrom {
		owner, err := e.Find(from.Container)
		if err != nil {
			return fmt.Errorf("volumes of %s: %w", from.Container, err)
		}
		l, err := e.life(owner.Blueprint.ID)
		if err != nil {
			return fmt.Errorf("volumes of %s: %w", from.Container, err)
		}
		for _, m := range l.rec.Mounts {
			target := path.Clean(m.Target)
			if covered[target] || m.Type == spec.MountTmpfs {
				continue
			}
			covered[target] = true
			m.ReadOnly, m.NoCopy = m.ReadOnly || from.ReadOnly, true
			rec.Mounts, rec.Borrowed = append(rec.Mounts, m), append(rec.Borrowed, m.Target)
		}
	}
	return nil
}

// adopted are the anonymous volumes of a predecessor, or of whoever it borrows
// from, beside those just made: they end with the last container that has them.
func (e *Engine) adopted(rec *record, made []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, m := range rec.Mounts {
		v, ok := e.volumes[m.Source]
		if m.Type == spec.MountVolume && ok && !slices.Contains(made, m.Source) && v.Anonymous && v.Project == rec.Blueprint.Project {
			out = append(out, m.Source)
		}
	}
	return out
}

func exposed(rec record) []string {
	out := slices.Concat(rec.Image.ExposedPorts, rec.Blueprint.Expose)
	for i, p := range out {
		if !strings.Contains(p, "/") {
			out[i] = p + "/tcp"
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func volumesOf(rec record) map[string]string {
	out := map[string]string{}
	for _, m := range rec.Mounts {
		if m.Type == spec.MountVolume && !slices.Contains(rec.Borrowed, m.Target) {
			out[m.Target] = m.Source
		}
	}
	return out
}

// RemoveContainer removes a container with what it wrote; a missing one is
// success.
func (e *Engine) RemoveContainer(ctx context.Context, id string, how spec.Remove) error {
	l, err := e.changeable(id)
	if errors.Is(err, spec.ErrNotFound) {
		return e.dropShared(ctx) // it may be gone without
	}
	if l.status().Up() {
		if !how.Force {
			return spec.Errorf(spec.ErrInUse, "cannot remove container %s: it is running", l.name())
		}
		if err := e.KillContainer(ctx, id, ""); err != nil && !errors.Is(err, spec.ErrNotRunning) {
			return err
		}
	}
	if err := e.remove(l, how); err != nil {
		return fmt.Errorf("cannot remove container %s: %w", l.name(), err)
	}
	e.tell(l, "destroy")
	return e.dropShared(ctx)
}

func (e *Engine) remove(l *life, how spec.Remove) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, removed := l.look()
	if removed {
		return nil
	}
	if c.Status.Up() {
		return spec.Errorf(spec.ErrInUse, "it was started meanwhile")
	}
	if !l.held.free {
		e.release(l) // a monitor may be ready for attach
	}
	if err := e.unlease(l, how.KeepLog); err != nil {
		// On a full disk the removal is what helps; what we know is right, and
		// goes with the network's next lease.
		e.log.Warn("the end of an address's lease is not stored", "container", l.name(), "err", err)
	}
	if !how.KeepLog {
		if err := e.removeLog(l); err != nil {
			return err
		}
	}
	if how.KeepLog && !how.Volumes {
		e.leaveVolumes(&l.rec, true)
	}
	if err := e.forget(&l.rec, how.Volumes); err != nil {
		e.enterProject(l) // it is there still
		return err
	}
	e.leave(l)
	l.mu.Lock()
	l.removed = true
	l.mu.Unlock()
	l.set(func(*condition) {})
	return nil
}

// forget removes what a container has on disk; what is missing is success. It
// is the inverse of create, too.
func (e *Engine) forget(rec *record, volumes bool) error {
	errs := []error{
		ignoreMissing(os.Remove(e.place.ExitRecord(rec.ID))),
		ignoreMissing(os.Remove(folder.Temporary(e.place.ExitRecord(rec.ID)))), // of a killed monitor
		ignoreMissing(os.Remove(e.place.MonitorSocket(rec.ID))),
		ignoreMissing(os.Remove(e.place.MonitorLock(rec.ID))),
		os.RemoveAll(e.place.ContainerDir(rec.ID)),
	}
	for _, name := range rec.Anonymous {
		if volumes {
			errs = append(errs, e.removeUnused(name, rec.ID))
		}
	}
	return errors.Join(errs...)
}

// removeLog removes the log of the container's replica, unless another
// container of that replica is there, and the project's folder with the last: the
// logs of replicas whose recreation has failed too.
func (e *Engine) removeLog(l *life) error {
	b := l.rec.blueprint()
	dir := e.logDir(b)
	if len(e.sharers(l, logKey(dir))) == 0 {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	switch all := path.Dir(dir); {
	case b.Project == "":
		os.Remove(all) // fails while others have their log there
	case e.leaveProject(l):
		return os.RemoveAll(all)
	}
	return nil
}
