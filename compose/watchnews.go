package compose

import (
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// News are the newest events of one project.
type News struct {
	mu      sync.Mutex // guards what follows
	events  []event.Watch
	next    int64
	changed chan struct{}
	closed  bool
}

// keptNews is how many events a follower may lag behind.
const keptNews = 1024

func newNews() *News { return &News{next: 1, changed: make(chan struct{})} }

func (n *News) tell(e event.Watch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	e.Sequence, e.Time = n.next, time.Now()
	n.next++
	if n.events = append(n.events, e); len(n.events) > 2*keptNews {
		n.events = slices.Clone(n.events[len(n.events)-keptNews:])
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *News) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.closed = true
		close(n.changed)
	}
}

// From returns the events from a number on, and a channel that is closed when
// there are more; nil once there are no more to come.
func (n *News) From(sequence int64) ([]event.Watch, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := n.changed
	if n.closed {
		changed = nil
	}
	at := len(n.events)
	for at > 0 && n.events[at-1].Sequence >= sequence {
		at--
	}
	return slices.Clone(n.events[at:]), changed
}

// last are the newest events, the output of builds left out.
func (n *News) last(count int) (out []event.Watch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at := len(n.events); at > 0 && len(out) < count; at-- {
		if e := n.events[at-1]; e.Kind != event.WatchBuild {
			out = append(out, e)
		}
	}
	slices.Reverse(out)
	return out
}
