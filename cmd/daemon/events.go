package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// eventsKept is how many events of the past `events --since` can show.
const eventsKept = 1024

// happenings keeps the last events of containers for those who ask later, and
// wakes those who wait for the next.
//
//	engine ──Events──▶ listen ──▶ kept ──▶ getEventStream, one per client
type happenings struct {
	mu      sync.Mutex // guards what follows
	kept    []spec.Event
	next    int64         // the number of the next one
	changed chan struct{} // closed and made anew when one comes
	working sync.WaitGroup
}

func newHappenings() *happenings { return &happenings{changed: make(chan struct{})} }

// listen takes events until ctx ends; one that lags behind subscribes again.
func (h *happenings) listen(ctx context.Context, from Happenings) {
	h.working.Add(1)
	go func() {
		defer h.working.Done()
		for ctx.Err() == nil {
			h.hear(ctx, from)
		}
	}()
}

func (h *happenings) hear(ctx context.Context, from Happenings) {
	events, stop := from.Events()
	defer stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			h.add(e)
		case <-ctx.Done():
			return
		}
	}
}

func (h *happenings) add(e spec.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) >= 2*eventsKept {
		h.kept = append(h.kept[:0], h.kept[len(h.kept)-eventsKept:]...)
	}
	h.kept = append(h.kept, e)
	h.next++
	close(h.changed)
	h.changed = make(chan struct{})
}

// from returns the events from a number on, the number of the one after them,
// and what is closed when that has come.
func (h *happenings) from(number int64) ([]spec.Event, int64, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.next - int64(len(h.kept))
	skip := min(max(number-first, 0), int64(len(h.kept)))
	return slices.Clone(h.kept[skip:]), h.next, h.changed
}

func (h *happenings) wait() { h.working.Wait() }

// getEventStream sends what happens to containers as JSON lines: of the past
// from `since` on, and on until `until` or the client's end.
func (s *server) getEventStream(w http.ResponseWriter, r *http.Request) error {
	request, err := client.ParseEventRequest(r.URL.Query())
	if err != nil {
		return err
	}
	var over <-chan time.Time
	if !request.Until.IsZero() {
		timer := time.NewTimer(time.Until(request.Until))
		defer timer.Stop()
		over = timer.C
	}
	number := int64(0)
	_, now, _ := s.happened.from(0)
	if request.Since.IsZero() {
		number = now
	}
	w.Header().Set("Content-Type", client.EventsType)
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	for {
		if number >= now && !request.Since.After(time.Now()) {
			request.Since = time.Time{} // all that comes is later, even if the clock is set back
		}
		var events []spec.Event
		var changed <-chan struct{}
		events, number, changed = s.happened.from(number)
		for _, e := range events {
			if !request.Wants(e) {
				continue
			}
			if err := lines.Encode(e); err != nil {
				return errAnswered // the client has gone
			}
		}
		if err := flush.Flush(); err != nil {
			return errAnswered
		}
		select {
		case <-changed:
		case <-over:
			return errAnswered
		case <-r.Context().Done():
			return errAnswered
		case <-s.ctx.Done():
			panic(http.ErrAbortHandler) // the client comes back to our successor
		}
	}
}

// getProcesses lists the processes of a container.
func (s *server) getProcesses(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Usage.ContainerProcesses(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, found)
}

// getStats tells what a container uses now.
func (s *server) getStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := s.Usage.ContainerStats(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, stats)
}
