package monitor

import (
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
)

const (
	// execPending is how much of an exec's output waits for its reader
	// while there is none.
	execPending = 64 << 10
	// execLag is how much waits for an attached reader before the exec is
	// slowed down.
	execLag = 256 << 10
	// execPatience is how long an exec is slowed down for a reader that
	// has gone; then the rest of its output is thrown away.
	execPatience = 10 * time.Second
)

// output gives an exec's output to its reader, one at a time. Without one it
// keeps execPending bytes; then it makes the exec wait for execPatience, so
// that nothing is lost while a daemon comes back; then it throws away.
type output struct {
	framed bool

	mu       sync.Mutex // guards what follows
	reader   *client
	pending  []byte        // framed
	attached chan struct{} // closed and made anew when a reader comes
	patience time.Time     // until when to wait; zero: not begun
	ended    bool
	lost     bool // forgotten: nobody will read
}

func newOutput(framed bool) *output {
	return &output{framed: framed, attached: make(chan struct{})}
}

func (o *output) write(stream logs.Stream, _ time.Time, data []byte) {
	for {
		o.mu.Lock()
		reader, attached := o.reader, o.attached
		if reader == nil && (len(o.pending)+len(data) <= execPending || len(o.pending) == 0) {
			o.pending = frame(o.pending, o.framed, stream, data)
			o.mu.Unlock()
			return
		}
		if reader == nil && o.patience.IsZero() {
			o.patience = time.Now().Add(execPatience)
		}
		patience, lost := time.Until(o.patience), o.lost
		o.mu.Unlock()

		if reader != nil {
			if reader.push(stream, data, execLag) {
				return
			}
			o.detach(reader)
			continue
		}
		if patience <= 0 || lost {
			return
		}
		timer := time.NewTimer(patience)
		select {
		case <-attached:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// attach makes c the reader; what is pending goes first. The reader before it
// is ended.
func (o *output) attach(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader != nil {
		o.reader.finish()
	}
	c.mu.Lock()
	c.queue = append(c.queue, o.pending...)
	c.ending = o.ended
	c.wake.Broadcast()
	c.mu.Unlock()
	o.pending, o.patience = nil, time.Time{}
	if !o.ended {
		o.reader = c
	}
	o.wakeWriters()
}

func (o *output) wakeWriters() {
	close(o.attached)
	o.attached = make(chan struct{})
}

// detach forgets a reader that has gone.
func (o *output) detach(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader == c {
		o.reader = nil
	}
}

// end says that there is no more output.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.reader != nil {
		o.reader.finish()
		o.reader = nil
	}
}

// forget throws away what waits: nobody will read it any more.
func (o *output) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost, o.pending = true, nil
	if o.reader != nil {
		o.reader.finish()
		o.reader = nil
	}
	o.wakeWriters()
}

// capture keeps the end of an output.
type capture struct {
	mu    sync.Mutex
	limit int
	data  []byte
}

func newCapture(limit int) *capture { return &capture{limit: min(limit, 1<<20)} }

func (c *capture) write(_ logs.Stream, _ time.Time, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = append(c.data, data...)
	if len(c.data) > 2*c.limit {
		c.data = append(c.data[:0], c.data[len(c.data)-c.limit:]...)
	}
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data[max(len(c.data)-c.limit, 0):]
}

// discard throws everything away.
type discard struct{}

func (discard) write(logs.Stream, time.Time, []byte) {}
