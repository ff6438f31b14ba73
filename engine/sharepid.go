package engine

import (
	"fmt"
	"os"
	"slices"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
)

// The keys of namespaces that containers share, as spec.Blueprint.Namespaces has
// them.
const (
	keyNetwork = "network_mode"
	keyPID     = "pid"
)

// sharedPID opens the pid namespace of the container that l shares it with, which
// must run; nil if l does not share one. It belongs to the caller.
func (e *Engine) sharedPID(l *life) (*os.File, error) {
	b := l.rec.blueprint()
	i := slices.IndexFunc(b.Namespaces(), func(n spec.Namespace) bool { return n.Key == keyPID })
	word := b.Namespaces()[i].Owner()
	if word == "" {
		return nil, nil
	}
	found, err := e.Find(word)
	if err != nil {
		return nil, fmt.Errorf("cannot share a pid namespace: %w", err)
	}
	owner, err := e.life(found.Blueprint.ID)
	if err == nil && owner == l {
		err = spec.Errorf(spec.ErrInvalid, "container %s is in no pid namespace but its own", l.name())
	}
	if err != nil {
		return nil, err
	}
	ns, err := owner.pidNamespace()
	if err != nil {
		return nil, fmt.Errorf("cannot share a pid namespace: %w", err)
	}
	return ns, nil
}

// pidNamespace opens the pid namespace of a container that runs.
func (l *life) pidNamespace() (*os.File, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if c, _, _ := l.look(); !named(c.Status) || l.held.pid == 0 {
		return nil, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	ns, err := container.OpenPIDNamespace(l.held.pid)
	if err != nil {
		return nil, err
	}
	if l.held.ended() { // what was opened by number may be another's
		ns.Close()
		return nil, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	return ns, nil
}

// lendsPID reports whether another container may be in the pid namespace of l.
func (e *Engine) lendsPID(l *life) bool {
	return slices.ContainsFunc(e.sharers(l, followersKey), func(f *life) bool {
		return slices.Contains(e.sharedWith(f, l), keyPID)
	})
}
