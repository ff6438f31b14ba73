package engine

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// SyncFiles applies changes to the files of a container in order and returns
// one result for each. While it runs they are seen at once, each whole; one
// that does not run, or is in a back-off, finds them at its next start, and
// none begins in the middle. What is new belongs to the container's user, what
// is replaced keeps its owner. A read-only root is written to all the same; a
// bind mount, which is the host's, is not.
func (e *Engine) SyncFiles(ctx context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error) {
	l, err := e.changeable(id)
	if err != nil {
		return nil, err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, _, removed := l.look()
	if removed {
		return nil, spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	}
	sources, err := container.OpenSources(changes)
	if err != nil {
		return nil, fmt.Errorf("cannot change files of %s: %w", l.name(), err)
	}
	defer sources.Close()
	running := named(c.Status) || l.held.left != nil
	mounts := e.idleMounts(l)
	results := make([]spec.FileResult, len(changes))
	for _, part := range partition(mounts, changes, running) {
		if part.result != nil {
			results[part.indexes[0]] = *part.result
			continue
		}
		done, err := e.syncPart(l, sources, part, running)
		if err != nil {
			return nil, fmt.Errorf("cannot change files of %s: %w", l.name(), err)
		}
		for i, at := range part.indexes {
			results[at] = done[i]
			m := covering(mounts, changes[at].Target)
			results[at].Volatile = m != nil && m.Type == spec.MountTmpfs
		}
	}
	return results, nil
}

// syncPart applies the changes of one part. turn is held.
func (e *Engine) syncPart(l *life, sources container.Sources, part syncPart, running bool) ([]spec.FileResult, error) {
	process, err := container.Resolve(l.rec.blueprint(), l.rec.Image)
	if err != nil {
		return nil, err
	}
	if running {
		ns, err := l.mountNamespace()
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		return sources.PlaceInside(ns, l.rec.Blueprint.ReadOnlyRoot, process.User, part.changes)
	}
	top, err := e.idleTree(l, part.mount)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	root, err := tree.FromFD(int(top.Fd()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return sources.Place(root, process.User, part.changes)
}

func errEnding(l *life) error {
	return spec.Errorf(spec.ErrUnavailable, "container %s is just ending", l.name())
}

// idleTree opens the root file system of a container whose process is gone, or
// one of its volumes. turn is held: nothing else mounts its folders.
func (e *Engine) idleTree(l *life, m *spec.Mount) (*os.File, error) {
	if m != nil {
		return e.openIdleVolume(*m)
	}
	return e.root(l)
}

// syncPart are changes that go to one tree, by their index; or one change whose
// result is known already.
type syncPart struct {
	mount   *spec.Mount // a volume of a container that does not run
	indexes []int
	changes []spec.FileChange
	result  *spec.FileResult
}

// partition says which tree each change goes to. In a container that runs all
// go to one: its mounts are there. Pure.
func partition(mounts []spec.Mount, changes []spec.FileChange, running bool) []syncPart {
	var parts []syncPart
	add := func(m *spec.Mount, i int, c spec.FileChange) {
		if n := len(parts); n > 0 && parts[n-1].result == nil && parts[n-1].mount == m {
			parts[n-1].indexes = append(parts[n-1].indexes, i)
			parts[n-1].changes = append(parts[n-1].changes, c)
			return
		}
		parts = append(parts, syncPart{mount: m, indexes: []int{i}, changes: []spec.FileChange{c}})
	}
	for i, c := range changes {
		m := covering(mounts, c.Target)
		switch {
		case m != nil && (m.Type == spec.MountBind || m.ReadOnly):
			parts = append(parts, syncPart{indexes: []int{i}, result: &spec.FileResult{Error: fmt.Sprintf(
				"cannot change %s: it lies in the mount of %s on %s", c.Target, orAnonymous(m.Source), m.Target)}})
		case running || m == nil:
			add(nil, i, c)
		case m.Type == spec.MountTmpfs:
			parts = append(parts, syncPart{indexes: []int{i}, result: &spec.FileResult{Later: true}})
		default:
			c.Target = strings.TrimPrefix(path.Clean(c.Target), path.Clean(m.Target))
			add(m, i, c)
		}
	}
	return parts
}

func orAnonymous(source string) string {
	if source == "" {
		return "memory"
	}
	return source
}

// covering is the innermost mount that a path lies in or is.
func covering(mounts []spec.Mount, target string) *spec.Mount {
	target = path.Clean("/" + target)
	var found *spec.Mount
	for i := range mounts {
		at := path.Clean("/" + mounts[i].Target)
		if at != target && !strings.HasPrefix(target, strings.TrimSuffix(at, "/")+"/") {
			continue
		}
		if found == nil || len(at) >= len(path.Clean("/"+found.Target)) {
			found = &mounts[i]
		}
	}
	return found
}
