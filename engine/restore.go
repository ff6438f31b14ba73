package engine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/volume"
)

// Somebody may delete folders of ours below a running engine. What was in them is
// lost; what the engine knows is made anew by whoever needs it.

// restoreFolder makes anew what is missing of a container's folder: its record
// and its writable layer, empty. A run that ended in the lost layer leaves nothing
// to the next one. turn is held.
func (e *Engine) restoreFolder(l *life) error {
	dir := e.place.ContainerDir(l.id)
	if !absent(path.Join(dir, upperName)) {
		return nil
	}
	e.log.Warn("the folder of a container was removed: it begins with its image's files", "container", l.name())
	if l.held.left != nil {
		l.leaveNothing()
		e.removeGroup(l)
	}
	if err := os.RemoveAll(path.Join(dir, workName)); err != nil {
		return err
	}
	if err := e.makeFolder(l.id); err != nil {
		return err
	}
	return e.store.Put(store.Container, l.id, l.rec, store.Cached)
}

// hasContent reports whether a volume's content is there. One whose content
// somebody has taken away, for good or to bring it back in a moment, is not listed:
// who wants it makes it anew. Nothing of it is touched: somebody may be at work
// there.
//
// Of a file system nothing is touched, since its server may not answer.
func (e *Engine) hasContent(v spec.Volume) bool {
	if o, _ := spec.ParseVolumeOptions(v.Options); o.Type != "" {
		return !absent(e.volumeDir(v.Name))
	}
	return !absent(volume.Data(e.volumeDir(v.Name)))
}

// restoreVolumes makes a container's anonymous volumes anew that somebody has
// removed, and refuses one whose named volume is not there any more: whoever
// wants that says so.
func (e *Engine) restoreVolumes(l *life) error {
	for _, m := range l.rec.Mounts {
		if m.Type != spec.MountVolume {
			continue
		}
		e.mu.Lock()
		v, known := e.volumes[m.Source]
		e.mu.Unlock()
		if !known {
			v.Name = m.Source
		}
		if e.hasContent(v) {
			continue
		}
		if !slices.Contains(l.rec.Anonymous, m.Source) {
			return spec.Errorf(spec.ErrNotFound, "cannot mount %s: volume %s is not there any more; `up` makes it anew, empty", m.Target, m.Source)
		}
		e.log.Warn("an anonymous volume was removed: it is empty now", "container", l.name(), "volume", m.Source)
		if err := e.anonymous(l.rec.Blueprint.Project, m.Source); err != nil {
			return err
		}
	}
	return nil
}

// anonymous makes a volume without a name of the user's.
func (e *Engine) anonymous(project, name string) error {
	_, err := e.CreateVolume(e.ctx, spec.Volume{Name: name, Project: project, Anonymous: true})
	return err
}

// writeAnew writes a file in place of what has its name. A link there is not
// followed.
func writeAnew(path, text string) error {
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
