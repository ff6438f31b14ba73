package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// again tries for a moment what must not be left half done: the kernel may be
// short of memory just now. f may be called twice.
func again(ctx context.Context, f func() error) error {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		err := f()
		if err == nil || pause > 200*time.Millisecond {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// reaperPause is how long a bridge waits for others, and for what goes on beside
// it: a removal holds the kernel's lock of all links.
const reaperPause = 20 * time.Millisecond

// reaper removes bridges beside: the kernel needs 20–40 ms for one removal,
// however many bridges it names, so those that come within a moment go together.
type reaper struct {
	remove func(names ...string) error
	log    *slog.Logger

	mu      sync.Mutex // guards what follows
	pending []string
	hurry   chan struct{} // closed when somebody waits
	done    chan struct{} // closed when the running removal has ended; nil: none runs
}

// add has links removed and returns at once.
func (r *reaper) add(names ...string) {
	if len(names) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, names...)
	if r.done != nil {
		return
	}
	r.done, r.hurry = make(chan struct{}), make(chan struct{})
	go r.run(r.done, r.hurry) // wait waits for it
}

func (r *reaper) run(done chan<- struct{}, hurry <-chan struct{}) {
	defer close(done)
	for {
		select {
		case <-hurry:
		case <-time.After(reaperPause):
		}
		r.mu.Lock()
		names := r.pending
		r.pending = nil
		if len(names) == 0 {
			r.done = nil
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		err := again(context.Background(), func() error { return r.remove(names...) })
		if err != nil {
			// The next Open finds and removes them.
			r.log.Warn("bridges are not removed", "err", err)
		}
	}
}

// wait returns when nothing is to be removed any more.
func (r *reaper) wait() {
	r.mu.Lock()
	done := r.done
	if done != nil && r.hurry != nil {
		close(r.hurry)
		r.hurry = nil
	}
	r.mu.Unlock()
	if done != nil {
		<-done
	}
}
