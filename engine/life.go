package engine

import (
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network/firewall"
)

// life is one container while the engine is open.
type life struct {
	id  string
	rec record // never changes
	// newer says that only a newer mycompose may change it; see newer.go.
	newer error

	// turn is held by the one transition that is under way: starting,
	// ending, releasing, removing. It guards the held things below.
	turn sync.Mutex
	held held

	// starts is held for reading while an exec is being started, and for writing
	// while the container is frozen: a child that freezes before it executes
	// its program would hold its monitor up. It is taken after turn.
	starts sync.RWMutex

	mu      sync.Mutex // guards what follows, for moments only
	cond    condition
	changed chan struct{} // closed and replaced at each change of cond
	removed bool
}

// held is what a container has of the machine while it is up.
type held struct {
	// free: release has let go of everything and nothing was taken since.
	free    bool
	monitor *container.Monitor
	// monitorEnded is closed when its process has; nil if it is not our child.
	monitorEnded <-chan struct{}
	// gated: the monitor heeds a recipe's gate, being of our build.
	gated bool
	// pid is its program's process in our pid namespace, pidfd the same; init
	// says that process 1 is an init that can outlive it.
	pid   int
	pidfd *os.File
	init  bool
	netns *os.File
	// detaching is closed when the links that were taken away are gone.
	detaching <-chan struct{}
	// plugged: all that acquireNetwork does has been done.
	plugged bool
	// sockets are our duplicates of what the keeper keeps, by name.
	sockets map[string]*os.File
	// resolver ends the answering of its questions and waits for that.
	resolver func()
	// probes ends the health probes and waits for that.
	probes func()
	// timer ends the wait of a back-off, or for the start after a stop that
	// keeps; it does not wait.
	timer context.CancelFunc
	// keep: what is held outlives the end that was asked for.
	keep bool
	// left is what the last run leaves to the next, see again.go; nil: nothing.
	left *container.Left
	// passes: its held ports are for the container that comes in its place.
	passes bool
	// published are its firewall elements.
	published []published
	// guests are those that let it to the host's loopback.
	guests []firewall.Guest
	// proxied are the ids of its entries in the proxy's table.
	proxied []string
	// hold is there while its ports are held; heldOnce are the ids of the
	// proxy's entries of that, and of earlier times.
	hold     *hold
	heldOnce []string
	// adopted: this run was begun by an engine before us, whose readers may not
	// have come back yet.
	adopted bool
	// pending is what its reader has not got yet, while no monitor has it.
	pending *pending
}

func newLife(rec record, cond condition) *life {
	return &life{id: rec.ID, rec: rec, cond: cond, changed: make(chan struct{})}
}

// name is the container's, for messages.
func (l *life) name() string { return l.rec.Blueprint.Name }

// look returns the condition and a channel that is closed when it changes.
func (l *life) look() (c condition, changed <-chan struct{}, removed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cond.clone(), l.changed, l.removed
}

// status is the condition's status.
func (l *life) status() spec.Status {
	c, _, _ := l.look()
	return c.Status
}

// attachments are the container's networks: the blueprint's, with what commands
// changed.
func (l *life) attachments() []spec.Attachment {
	c, _, _ := l.look()
	var out []spec.Attachment
	for _, a := range l.rec.Blueprint.Networks {
		if !slices.Contains(c.Disconnected, a.Network) {
			out = append(out, a)
		}
	}
	return append(out, c.Connected...)
}

// stopTimer ends what timer waits for. turn is held.
func (l *life) stopTimer() {
	if l.held.timer != nil {
		l.held.timer()
		l.held.timer = nil
	}
}

// set changes the condition and wakes those who wait for a change.
func (l *life) set(change func(*condition)) condition {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.cond)
	close(l.changed)
	l.changed = make(chan struct{})
	return l.cond.clone()
}

// container is the answer about it.
func (l *life) container() spec.Container {
	c, _, _ := l.look()
	if len(c.Places) > 0 && !slices.ContainsFunc(c.Places, func(p place) bool { return p.Published }) {
		c.Status.Ports = nil // its networks are internal: reserved, and led nowhere
	}
	return spec.Container{Blueprint: l.rec.blueprint(), Status: c.Status}
}

func (c condition) clone() condition {
	c.Status.Endpoints = slices.Clone(c.Status.Endpoints)
	c.Status.Ports = slices.Clone(c.Status.Ports)
	c.Status.Volumes = maps.Clone(c.Status.Volumes)
	c.Places = slices.Clone(c.Places)
	c.Connected, c.Disconnected = slices.Clone(c.Connected), slices.Clone(c.Disconnected)
	return c
}

// await returns the first condition of a container that ok accepts. It ends with
// ctx, or with spec.ErrNotFound when the container is removed meanwhile.
func (e *Engine) await(ctx context.Context, l *life, ok func(condition) bool) (condition, error) {
	look := time.NewTicker(attention)
	defer look.Stop()
	for {
		c, changed, removed := l.look()
		if ok(c) {
			return c, nil
		}
		if removed {
			return c, spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
		}
		select {
		case <-changed:
		case <-look.C:
			e.tendMonitor(l)
		case <-ctx.Done():
			return c, context.Cause(ctx)
		}
	}
}

// namespace returns a duplicate of the container's network namespace, or says
// that it is the host's. It fails for a container that is not up.
func (l *life) namespace() (ns *os.File, host bool, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if c, _, _ := l.look(); !c.Held {
		return nil, false, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	if l.held.netns == nil {
		return nil, true, nil
	}
	ns, err = wire.Duplicate(l.held.netns)
	return ns, false, err
}
