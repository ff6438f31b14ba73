package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/fault"
)

// operation is one operation in memory: its request, its events so far.
type operation struct {
	client.Operation
	log *slog.Logger
	// settle makes durable what was written so far, the result included; nil
	// where there is nothing to make so.
	settle func() error

	mu     sync.Mutex // guards what follows
	events []event.Event
	last   int64 // sequence number of the newest; 0 before the first
	// unread reads the events of one that ended under an earlier daemon; nil: they
	// are in events.
	unread func() []event.Event
	file   *os.File // nil: nothing is kept
	// unwritten are lines that are not in file yet.
	unwritten [][]byte
	result    *event.Result
	// ending: the result is kept and not yet durable.
	ending bool
	// changed is closed and replaced with every event.
	changed chan struct{}
	// cancel ends ctx with who asked as cause; nil until it runs.
	cancel context.CancelCauseFunc
	// canceledBy is who asked first; "" nobody.
	canceledBy string
	resumed    bool
}

// errEnding is the cause of a context that ended with the daemon.
var errEnding = errors.New("the daemon ends")

func newOperation(op client.Operation, file *os.File, events []event.Event, log *slog.Logger) *operation {
	return &operation{Operation: op, file: file, events: events, last: int64(len(events)), log: log, changed: make(chan struct{})}
}

// endedOperation is one that ended, with last, under an earlier daemon.
func endedOperation(op client.Operation, last event.Event, r records, log *slog.Logger) *operation {
	o := newOperation(op, nil, nil, log)
	o.result, o.last = last.Result, last.Sequence
	o.unread = func() []event.Event {
		lines, err := r.lines(op)
		if err != nil {
			log.Error("only the result of an operation is left", "operation", op.ID, "err", err)
		}
		events, _ := parseEvents(lines)
		if int64(len(events)) < last.Sequence {
			events = append(events, last)
		}
		return events
	}
	return o
}

// emit numbers an event, appends it to the file and tells who follows. After
// the result nothing is taken; the result is told once it is durable.
func (o *operation) emit(e event.Event) {
	last := e.Kind == event.KindResult
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.result != nil || o.ending {
		return
	}
	e.Sequence = o.last + 1
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Kind == "" {
		e.Kind = event.KindResource
	}
	o.keepLocked(e)
	fault.Point("operation:kept")
	if last && o.settle != nil {
		o.ending = true
		o.mu.Unlock() // a sync may take its time
		err := o.settle()
		o.mu.Lock()
		if err != nil {
			o.log.Error("result may not survive a power failure", "operation", o.ID, "err", err)
		}
	}
	o.events, o.last = append(o.events, e), e.Sequence
	if last {
		o.result = e.Result
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// keepLocked appends an event to the file, behind those that could not be
// written before: a later daemon stops reading at a gap, and would do the
// operation again. The result closes the file. mu is held.
func (o *operation) keepLocked(e event.Event) {
	if o.file == nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		o.unwritten = append(o.unwritten, append(line, '\n'))
		err = o.writeLocked()
	}
	if err != nil {
		o.log.Error("cannot keep event yet", "operation", o.ID, "err", err)
	}
}

// writeLocked writes what is not written yet, whole lines only. mu is held.
func (o *operation) writeLocked() error {
	for len(o.unwritten) > 0 {
		if err := appendLine(o.file, o.unwritten[0]); err != nil {
			return err
		}
		o.unwritten = o.unwritten[1:]
	}
	return nil
}

// appendLine writes a line as a whole or not at all.
func appendLine(file *os.File, line []byte) error {
	if err := fault.Errno("operation:event"); err != nil {
		return err
	}
	n, err := file.Write(line)
	if err == nil || n == 0 {
		return err
	}
	info, statErr := file.Stat()
	if statErr == nil {
		statErr = file.Truncate(info.Size() - int64(n))
	}
	return errors.Join(err, statErr)
}

// keepTime bounds how long an ended operation holds up the next of its project
// because its result cannot be written.
const keepTime = 10 * time.Second

// close closes the file of an ended operation, once all of it is written.
func (o *operation) close(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil || o.result == nil {
		return // nothing is kept, or the next daemon resumes it
	}
	for end := time.Now().Add(keepTime); ; {
		err := o.writeLocked()
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			if err != nil {
				o.log.Error("cannot keep the result of an operation", "operation", o.ID, "err", err)
			}
			break
		}
		o.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		o.mu.Lock()
	}
	o.file.Close() // nothing was buffered
	o.file = nil
}

// finish emits the result, with who cancelled it.
func (o *operation) finish(r event.Result) {
	o.mu.Lock()
	by := o.canceledBy
	o.mu.Unlock()
	if by != "" {
		r.Canceled = by
		if r.ExitCode == 0 {
			r.ExitCode = 130
		}
		if r.Error == "" {
			r.Error = "canceled by " + by
		}
	}
	o.emit(event.Event{Kind: event.KindResult, Result: &r})
}

// from returns the events from a sequence number on, and a channel that is
// closed when there are more; nil after the result.
func (o *operation) from(sequence int64) ([]event.Event, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unread != nil {
		o.events, o.unread = o.unread(), nil
	}
	at := min(max(sequence, 1)-1, int64(len(o.events)))
	changed := o.changed
	if o.result != nil {
		changed = nil
	}
	return slices.Clone(o.events[at:]), changed
}

// follow tells the events until the last, or until ctx ends.
func (o *operation) follow(ctx context.Context, tell func(event.Event)) {
	for next := int64(1); ; {
		events, changed := o.from(next)
		for _, e := range events {
			tell(e)
		}
		next += int64(len(events))
		if changed == nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// waitingID begins the id of what is told before an operation begins.
const waitingID = "Project "

// startedAt is when the operation began to run: now, or, if an earlier daemon
// began it, before the first change, which it told before it made it.
func (o *operation) startedAt() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.resumed {
		for _, e := range o.events {
			if !strings.HasPrefix(e.ID, waitingID) {
				return e.Time
			}
		}
	}
	return time.Now()
}

func (o *operation) status() client.OperationStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := client.OperationStatus{Operation: o.Operation, Last: o.last, Result: o.result}
	s.Input, s.Logins, s.LoginFile = nil, nil, "" // large, and its contents are nobody's business
	return s
}

func (o *operation) ended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.result != nil
}

// cancelBy asks for the end. A waiting operation ends by it too.
func (o *operation) cancelBy(by string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.result != nil || o.canceledBy != "" {
		return
	}
	o.canceledBy = by
	if o.cancel != nil {
		o.cancel(&compose.Canceled{By: by})
	}
}

// begin returns the context in which the operation runs.
func (o *operation) begin(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancel = cancel
	if o.canceledBy != "" {
		cancel(&compose.Canceled{By: o.canceledBy})
	}
	return ctx, cancel
}

// name says what it is to somebody who waits for it.
func (o *operation) name() string {
	if o.Project == "" {
		return string(o.Kind)
	}
	return fmt.Sprintf("%s of %s", o.Kind, o.Project)
}

// wait returns the result once it is there.
func (o *operation) wait(ctx context.Context) (event.Result, error) {
	for {
		o.mu.Lock()
		result, changed := o.result, o.changed
		o.mu.Unlock()
		if result != nil {
			return *result, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return event.Result{}, ctx.Err()
		}
	}
}
