package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/volume"
)

func (e *Engine) volumeDir(name string) string { return filepath.Join(e.place.VolumesDir(), name) }

func (e *Engine) hasVolume(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.volumes[name]
	return ok
}

// Volumes lists all volumes, sorted by name.
func (e *Engine) Volumes(context.Context) ([]spec.Volume, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]spec.Volume, 0, len(e.volumes))
	for _, v := range e.volumes {
		if e.hasContent(v) {
			out = append(out, e.answered(v))
		}
	}
	slices.SortFunc(out, func(a, b spec.Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (e *Engine) answered(v spec.Volume) spec.Volume {
	v.Mountpoint, v.Left = volume.Data(e.volumeDir(v.Name)), nil
	return v
}

// CreateVolume makes a volume; an equal one is success.
func (e *Engine) CreateVolume(_ context.Context, v spec.Volume) (spec.Volume, error) {
	v.CreatedAt, v.Mountpoint, v.Left = time.Time{}, "", nil
	if err := checkVolume(v); err != nil {
		return spec.Volume{}, err
	}
	e.volumeTurn.Lock()
	defer e.volumeTurn.Unlock()
	e.mu.Lock()
	there, ok := e.volumes[v.Name]
	e.mu.Unlock()
	if ok {
		given := there
		given.CreatedAt, given.Left = time.Time{}, nil
		if !sameJSON(given, v) {
			return spec.Volume{}, spec.Errorf(spec.ErrConflict, "volume %s exists with other settings", v.Name)
		}
		if e.hasContent(v) {
			return e.answered(there), nil
		}
	}
	if err := e.store.Refused(store.Volume, v.Name); err != nil {
		return spec.Volume{}, fmt.Errorf("cannot create volume %s: %w", v.Name, err)
	}
	v.CreatedAt = time.Now()
	o, _ := spec.ParseVolumeOptions(v.Options)
	if o.Type != "" {
		o.Device = "" // is mounted at the first use
	}
	if err := volume.Create(e.volumeDir(v.Name), o.Device); err != nil {
		return spec.Volume{}, err
	}
	if err := e.store.Put(store.Volume, v.Name, v, store.Cached); err != nil {
		return spec.Volume{}, fmt.Errorf("cannot create volume %s: %w", v.Name, err)
	}
	e.mu.Lock()
	e.volumes[v.Name] = v
	e.mu.Unlock()
	return e.answered(v), nil
}

func checkVolume(v spec.Volume) error {
	if err := volume.CheckName(v.Name); err != nil {
		return spec.Errorf(spec.ErrInvalid, "%v", err)
	}
	if v.Driver != "" && v.Driver != "local" {
		return spec.Errorf(spec.ErrUnsupported, "cannot create volume %s: driver %s is not built yet", v.Name, v.Driver)
	}
	if _, wrong := spec.ParseVolumeOptions(v.Options); len(wrong) > 0 {
		sentinel := spec.ErrInvalid
		if wrong[0].Unknown {
			sentinel = spec.ErrUnsupported
		}
		return spec.Errorf(sentinel, "cannot create volume %s: %v", v.Name, wrong[0])
	}
	return nil
}

// volumeOptions are the options of a volume, checked when it was made.
func (e *Engine) volumeOptions(name string) spec.VolumeOptions {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, _ := spec.ParseVolumeOptions(e.volumes[name].Options)
	return o
}

// RemoveVolume removes a volume with its content; a missing one is success.
func (e *Engine) RemoveVolume(_ context.Context, name string) error {
	return e.removeUnused(name, "")
}

// PruneVolumes removes the volumes that no container uses, nor is to have in a
// moment, and that prune accepts.
// errs are of those that could not be removed. Nothing is removed while there is a
// container of which it is not known what it uses.
func (e *Engine) PruneVolumes(ctx context.Context, prune func(spec.Volume) bool) (gone []string, errs []error, err error) {
	if err := e.allReadable(); err != nil {
		return nil, nil, fmt.Errorf("cannot prune volumes: %w", err)
	}
	all, err := e.Volumes(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range all {
		if !prune(v) || e.isLeft(v.Name) && e.hasContainers(v.Project) {
			continue
		}
		switch err := e.RemoveVolume(ctx, v.Name); {
		case err == nil:
			gone = append(gone, v.Name)
		case !errors.Is(err, spec.ErrInUse):
			errs = append(errs, err)
		}
	}
	return gone, errs, nil
}

// hasContainers reports whether there are containers of a project: one of them may
// be made anew just now.
func (e *Engine) hasContainers(project string) bool {
	return slices.ContainsFunc(e.all(), func(l *life) bool { return l.rec.Blueprint.Project == project })
}

// removeUnused removes a volume that no container but the one being removed
// names.
func (e *Engine) removeUnused(name, except string) error {
	e.volumeTurn.Lock()
	defer e.volumeTurn.Unlock()
	if err := e.store.Refused(store.Volume, name); err != nil {
		return fmt.Errorf("cannot remove volume %s: %w", name, err)
	}
	if !e.hasVolume(name) || except != "" && e.isLeft(name) {
		return nil
	}
	for _, l := range e.all() {
		if l.id != except && l.names(name) {
			if except != "" {
				return nil // another container took it over
			}
			return spec.Errorf(spec.ErrInUse, "cannot remove volume %s: container %s uses it", name, l.name())
		}
	}
	unlock := e.volumeMounts.lock(name)
	err := volume.Remove(e.volumeDir(name)) // with its record
	unlock()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.volumes, name)
	delete(e.left, name)
	return nil
}

// PutContent keeps the content of a config or secret and returns its digest,
// by which a blueprint's File names it.
func (e *Engine) PutContent(content []byte) (digest string, err error) {
	return e.store.PutContent(content, store.Cached)
}

// HasContent reports whether a content is kept.
func (e *Engine) HasContent(digest string) bool {
	_, err := e.store.Content(digest)
	return err == nil
}

// PruneContents forgets every content that no container's file names and that
// wanted, the caller's own list, does not hold.
func (e *Engine) PruneContents(wanted map[string]bool) error {
	digests, err := e.store.Contents()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, l := range e.all() {
		for _, f := range l.rec.Blueprint.Files {
			used[f.Digest] = true
		}
	}
	for _, d := range digests {
		if !used[d] && !wanted[d] {
			if err := e.store.DeleteContent(d); err != nil {
				return err
			}
		}
	}
	return nil
}
