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
	// execKept is how much is kept of what was sent: a daemon that dies takes
	// with it what is on its way to the reader (twice execLag, a socket's
	// buffer, its own), who asks for it again.
	execKept = 1 << 20
	// execPatience is how long an exec is slowed down for a reader that
	// has gone; then the rest of its output is thrown away.
	execPatience = 10 * time.Second
)

// output gives the output of an exec, or of a container that was begun for a
// reader, to its reader, one at a time. Without one it
// keeps execPending bytes; then it makes the exec wait for execPatience, so
// that nothing is lost while a daemon comes back; then it throws away.
//
//	total - len(kept)      sent              total
//	       ├── sent before ──┼── for the next ──┤
type output struct {
	framed bool
	order  sync.Mutex // held for a whole write: kept and sent in one order

	mu       sync.Mutex // guards what follows
	reader   *client
	begun    int64         // what the reader was given at its begin ends here
	kept     []byte        // framed: the last of all
	total    int64         // bytes written so far
	sent     int64         // bytes that were given to some reader
	attached chan struct{} // closed and made anew when a reader comes
	patience time.Time     // until when to wait; zero: not begun
	hurried  bool          // the process has ended: nobody is made to wait
	ended    bool
	lost     bool // forgotten: nobody will read
}

func newOutput(framed bool) *output {
	return &output{framed: framed, attached: make(chan struct{})}
}

func (o *output) write(stream logs.Stream, _ time.Time, data []byte) {
	o.order.Lock()
	defer o.order.Unlock()
	end, ok := o.keep(stream, data)
	for ok {
		o.mu.Lock()
		reader, attached := o.reader, o.attached
		if reader == nil && (o.hurried || o.total-o.sent <= execPending) || reader != nil && o.begun >= end || o.lost {
			o.mu.Unlock()
			return
		}
		if reader == nil && o.patience.IsZero() {
			o.patience = time.Now().Add(execPatience)
		}
		patience := time.Until(o.patience)
		o.mu.Unlock()

		if reader != nil {
			if reader.push(stream, data, execLag) {
				o.mu.Lock()
				o.sent = max(o.sent, end)
				o.mu.Unlock()
				return
			}
			o.detach(reader)
			continue
		}
		if patience <= 0 {
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

// keep appends to what is kept, and returns where it ends. It is not ok to
// throw away what nobody was given: then the data is, once patience is over.
func (o *output) keep(stream logs.Stream, data []byte) (end int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := !o.patience.IsZero() && time.Now().After(o.patience)
	if o.lost || o.reader == nil && over && o.total-o.sent > execPending {
		return 0, false
	}
	before := len(o.kept)
	o.kept = frame(o.kept, o.framed, stream, data)
	o.total += int64(len(o.kept) - before)
	if surplus := len(o.kept) - execKept; surplus > 0 {
		o.kept = append(o.kept[:0], o.kept[surplus:]...)
	}
	return o.total, true
}

// attach makes c the reader. It gets what comes behind the bytes that it has
// already, or, with nil, what nobody was given. The reader before it is ended.
func (o *output) attach(c *client, from *int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader != nil {
		o.reader.finish()
	}
	begin := o.sent
	if from != nil {
		begin = *from
	}
	oldest := o.total - int64(len(o.kept))
	begin = min(max(begin, oldest), o.total)
	c.mu.Lock()
	c.framed = o.framed
	c.queue = append(c.queue, o.kept[begin-oldest:]...)
	c.ending = o.ended
	c.wake.Broadcast()
	c.mu.Unlock()
	o.patience, o.begun, o.sent = time.Time{}, o.total, o.total
	if !o.ended {
		o.reader = c
	}
	if o.hurried {
		c.makeRoom()
	}
	o.wakeWriters()
}

func (o *output) wakeWriters() {
	close(o.attached)
	o.attached = make(chan struct{})
}

// hurry says that the process has ended: what its pipes still hold is taken at
// once, so that its end waits for no reader.
func (o *output) hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hurried = true
	if o.reader != nil {
		o.reader.makeRoom()
	}
	o.wakeWriters()
}

// setFramed says whether the run that begins has a terminal.
func (o *output) setFramed(framed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.framed = framed
	if c := o.reader; c != nil {
		c.mu.Lock()
		c.framed = framed
		c.mu.Unlock()
	}
}

// hasEnded reports whether there is no more output.
func (o *output) hasEnded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}

// written is how many bytes of the stream there have been.
func (o *output) written() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
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
	o.lost, o.kept = true, nil
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
