package engine

import (
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// eventBuffer is how many events a listener may lag behind.
const eventBuffer = 1024

// listeners are those who hear of changes.
type listeners struct {
	mu   sync.Mutex // guards all
	next int
	all  map[int]chan spec.Event
}

// Events subscribes to changes of containers from now on. A listener that lags
// too far behind has its channel closed and looks at Containers again. stop
// ends the subscription and may be called more than once.
func (e *Engine) Events() (events <-chan spec.Event, stop func()) {
	e.listeners.mu.Lock()
	defer e.listeners.mu.Unlock()
	if e.listeners.all == nil {
		e.listeners.all = map[int]chan spec.Event{}
	}
	id := e.listeners.next
	e.listeners.next++
	c := make(chan spec.Event, eventBuffer)
	e.listeners.all[id] = c
	return c, func() {
		e.listeners.mu.Lock()
		defer e.listeners.mu.Unlock()
		if c, ok := e.listeners.all[id]; ok {
			delete(e.listeners.all, id)
			close(c)
		}
	}
}

// tell says what happened to a container; details are names and values.
func (e *Engine) tell(l *life, action string, details ...string) {
	b := &l.rec.Blueprint
	event := spec.Event{
		Time: time.Now(), Container: l.id, Project: b.Project,
		Action: action, Status: l.status(), Labels: b.Labels, Name: b.Name, Image: b.Image,
	}
	for i := 0; i+1 < len(details); i += 2 {
		if event.Details == nil {
			event.Details = map[string]string{}
		}
		event.Details[details[i]] = details[i+1]
	}
	e.listeners.mu.Lock()
	defer e.listeners.mu.Unlock()
	for id, c := range e.listeners.all {
		select {
		case c <- event:
		default: // it lags too far behind
			delete(e.listeners.all, id)
			close(c)
		}
	}
}

// closeAll ends all subscriptions.
func (s *listeners) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.all {
		delete(s.all, id)
		close(c)
	}
}
