package engine

import (
	"path"
	"slices"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// The anonymous volumes of a container that is made anew outlive it:
//
//	removed for a successor ─▶ left, noted in volume.json ─▶ created: its own
//	                               │
//	                               └── created by who does not know of them, as
//	                                   after a crash: found by replica and target

// leaveVolumes notes that a successor will have a container's anonymous volumes,
// or that it has them: meanwhile they do not go with somebody who borrows them.
func (e *Engine) leaveVolumes(rec *record, left bool) {
	if len(rec.Anonymous) == 0 {
		return
	}
	e.volumeTurn.Lock()
	defer e.volumeTurn.Unlock()
	for _, name := range rec.Anonymous {
		e.mu.Lock()
		if left {
			e.left[name] = true
		} else {
			delete(e.left, name)
		}
		v, ok := e.volumes[name]
		e.mu.Unlock()
		target := ownTarget(rec, name)
		switch {
		case !ok, left && target == "": // its owner notes that
			continue
		case left:
			v.Left = &spec.LeftVolume{Replica: rec.Blueprint.Log.Replica, Target: target}
		case v.Left == nil:
			continue
		default:
			v.Left = nil
		}
		if err := e.store.Put(store.Volume, name, v, store.Cached); err != nil {
			e.log.Warn("it is not noted for whom an anonymous volume is", "volume", name, "err", err)
			continue
		}
		e.mu.Lock()
		e.volumes[name] = v
		e.mu.Unlock()
	}
}

// mendLeft clears the notes of volumes whose container is there: an engine before us
// ended between its record and the volume's.
func (e *Engine) mendLeft(l *life) {
	for _, name := range l.rec.Anonymous {
		if e.isLeft(name) && ownTarget(&l.rec, name) != "" {
			e.leaveVolumes(&l.rec, false)
			return
		}
	}
}

// ownTarget is where a container has a volume that it has not borrowed, or "".
func ownTarget(rec *record, name string) string {
	for _, m := range rec.Mounts {
		if m.Type == spec.MountVolume && m.Source == name && !slices.Contains(rec.Borrowed, m.Target) {
			return path.Clean(m.Target)
		}
	}
	return ""
}

// leftFor is the name of the anonymous volume that a predecessor has left for a
// container at a target, or "".
func (e *Engine) leftFor(b spec.Blueprint, target string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	want := spec.LeftVolume{Replica: b.Log.Replica, Target: path.Clean(target)}
	for name, v := range e.volumes {
		if v.Left != nil && *v.Left == want && want.Replica != "" && v.Project == b.Project && e.hasContent(v) {
			return name
		}
	}
	return ""
}

func (e *Engine) isLeft(volume string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.left[volume]
}
