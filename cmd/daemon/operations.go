package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// keepResult is how long an ended operation can still be asked for.
const keepResult = time.Minute

// operations runs operations, one writer per project.
type operations struct {
	records records
	inputs  *inputs
	runner  Runner
	log     *slog.Logger
	ctx     context.Context // the daemon's life; ends with cause errEnding
	running sync.WaitGroup
	quiet   *quiet // hears of ends; may be nil

	mu     sync.Mutex // guards what follows
	all    map[string]*operation
	queues map[string][]*operation // by project; the first one may run
	ending bool
}

func newOperations(ctx context.Context, r records, in *inputs, runner Runner, log *slog.Logger) *operations {
	return &operations{
		records: r, inputs: in, runner: runner, log: log, ctx: ctx,
		all: map[string]*operation{}, queues: map[string][]*operation{},
	}
}

// resume takes up what earlier daemons left: operations without result run
// again in the order that the runner says, and what a boot of the machine asks
// for; ended ones can be asked for until their time is over.
func (o *operations) resume() error {
	found, err := o.records.all()
	slices.SortFunc(found, func(a, b recorded) int {
		return cmp.Or(a.op.CreatedAt.Compare(b.op.CreatedAt), cmp.Compare(a.op.ID, b.op.ID))
	})
	last := map[string]int{} // the last that has begun, by project
	for i, f := range found {
		if f.hasBegun() {
			last[f.op.Project] = i
		}
	}
	unfinished := map[string]recorded{}
	var order []client.Operation
	for i, f := range found {
		if f.result != nil {
			op := endedOperation(f.op, *f.result, o.records, o.log)
			o.mu.Lock()
			o.all[op.ID] = op
			o.mu.Unlock()
			o.forgetLater(op, keepResult) // anew: the clock may have been set meanwhile
			continue
		}
		if f.op.Project != "" && i < last[f.op.Project] {
			// One writer per project: it has ended, and its result could not be
			// kept. To do it again would undo what came after.
			o.log.Warn("operation without result has ended", "operation", f.op.ID, "kind", f.op.Kind, "project", f.op.Project)
			err = errors.Join(err, o.records.remove(f.op))
			continue
		}
		unfinished[f.op.ID] = f
		order = append(order, f.op)
	}
	fault.Point("operation:resume")
	order, recoverErr := o.runner.Recover(o.ctx, order)
	err = errors.Join(err, recoverErr)
	for _, op := range order {
		err = errors.Join(err, o.takeUp(op, unfinished))
		delete(unfinished, op.ID)
	}
	for _, f := range unfinished { // another operation takes its place
		err = errors.Join(err, o.records.remove(f.op))
	}
	return errors.Join(err, o.runner.Recovered(o.ctx))
}

// takeUp enqueues an operation that an earlier daemon began, or a new one.
func (o *operations) takeUp(op client.Operation, unfinished map[string]recorded) error {
	f, began := unfinished[op.ID]
	if !began {
		op.ID = client.NewID()
		_, err := o.submit(op)
		return err
	}
	file, err := o.records.open(op)
	if err != nil {
		return err
	}
	taken := newOperation(f.op, file, f.events, o.log)
	taken.settle = o.records.store.Settle
	taken.resumed = true
	o.log.Info("resume operation", "operation", op.ID, "kind", op.Kind, "project", op.Project)
	o.enqueue(taken)
	return nil
}

// submit takes an operation. It is durable when submit returns. The same id
// again is the same operation.
func (o *operations) submit(op client.Operation) (*operation, error) {
	return o.submitSettling(op, o.records.store.Settle)
}

// submitSettling is submit of an operation whose result is told when settle, which
// may be nil, has returned.
func (o *operations) submitSettling(op client.Operation, settle func() error) (*operation, error) {
	if err := check(op); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if known, ok := o.all[op.ID]; ok {
		return known, nil
	}
	if o.ending {
		return nil, spec.Errorf(spec.ErrUnavailable, "cannot %s: the daemon ends", op.Kind)
	}
	op.CreatedAt = time.Now()
	file, err := o.records.put(op)
	if err != nil && needsNoRoom(op.Kind) && unwritable(err) {
		o.log.Warn("operation is not kept: the next daemon would not finish it", "operation", op.ID, "kind", op.Kind, "err", err)
		file, err = nil, o.records.remove(op)
		if errors.Is(err, unix.EROFS) {
			err = nil // then there is nothing of it
		}
	}
	if err != nil {
		var plain *store.FullError
		if errors.As(err, &plain) {
			return nil, fmt.Errorf("cannot begin %s: %w", op.Kind, plain)
		}
		return nil, fmt.Errorf("cannot keep operation: %w", err)
	}
	fault.Point("operation:taken")
	taken := newOperation(op, file, nil, o.log)
	taken.settle = settle
	o.enqueueLocked(taken)
	return taken, nil
}

// needsNoRoom reports whether an operation gives back, or leaves as much as there
// is: it is done on a disk that cannot be written, too.
func needsNoRoom(kind client.Kind) bool {
	return slices.Contains([]client.Kind{
		client.Stop, client.Kill, client.Down, client.Remove, client.Start, client.Restart, client.Pause, client.Unpause,
	}, kind)
}

// unwritable reports that a disk takes nothing more: it is full, or has become
// read-only, as ext4 does after an error.
func unwritable(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}

// idLength is that of client.NewID.
const idLength = 32

func check(op client.Operation) error {
	if len(op.ID) != idLength {
		return spec.Errorf(spec.ErrInvalid, "cannot take operation: id %q is not %d hex digits", op.ID, idLength)
	}
	for _, c := range op.ID {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return spec.Errorf(spec.ErrInvalid, "cannot take operation: id %q is not %d hex digits", op.ID, idLength)
		}
	}
	return nil
}

func (o *operations) enqueue(op *operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.enqueueLocked(op)
}

// enqueueLocked starts an operation or puts it behind those of its project.
func (o *operations) enqueueLocked(op *operation) {
	o.all[op.ID] = op
	if op.Project == "" || op.DryRun {
		o.startLocked(op)
		return
	}
	queue := o.queues[op.Project]
	for _, before := range queue {
		if cancels(op.Operation, before.Kind) && !op.resumed {
			before.cancelBy(string(op.Kind))
			op.emit(projectEvent(op, "Canceling", before.name()))
		}
	}
	if len(queue) > 0 {
		op.emit(projectEvent(op, "Waiting", "for "+queue[len(queue)-1].name()))
	}
	o.queues[op.Project] = append(queue, op)
	if len(queue) == 0 {
		o.startLocked(op)
	}
}

// worksOn reports whether an operation on a project is under way or waits.
func (o *operations) worksOn(project string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queues[project]) > 0
}

// projectEvent is news about an operation that has not begun.
func projectEvent(op *operation, text, details string) event.Event {
	return event.Event{Kind: event.KindResource, ID: waitingID + op.Project, Status: event.Working, Text: text, Details: details}
}

// cancels reports whether a new operation ends one before it. What takes down
// already may wait for a hook that hangs: a kill, which runs none, ends that.
func cancels(op client.Operation, before client.Kind) bool {
	switch before {
	case client.Up, client.Create, client.Run, client.Start, client.Restart, client.Boot:
		return compose.Kind(op.Kind).Cancels()
	case client.Stop, client.Down, client.Remove:
		return kills(op)
	}
	return false
}

// kills reports whether an operation sends SIGKILL and no signal that programs
// handle.
func kills(op client.Operation) bool {
	if op.Kind != client.Kill {
		return false
	}
	var r client.KillRequest
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return false // its run says what is wrong
	}
	return slices.Contains([]string{"", "SIGKILL", "KILL", "9"}, strings.ToUpper(r.Signal))
}

// startLocked runs an operation in a goroutine that close waits for.
func (o *operations) startLocked(op *operation) {
	if o.ending {
		return // without result: the next daemon resumes it
	}
	o.running.Add(1)
	go func() {
		defer o.running.Done()
		o.run(op)
		op.close(o.ctx)
		o.next(op)
	}()
}

// run carries an operation out. If the daemon ends meanwhile it is left without
// result.
func (o *operations) run(op *operation) {
	ctx, cancel := op.begin(o.ctx)
	defer cancel(nil)
	if ctx.Err() != nil && errors.As(context.Cause(ctx), new(*compose.Canceled)) {
		op.finish(event.Result{})
		return
	}
	work := Work{Operation: op.Operation, StartedAt: op.startedAt(), Resumed: op.resumed}
	if err := o.inputs.fill(&work); err != nil {
		op.finish(Failed(err))
		return
	}
	fault.Point("operation:run")
	result := o.runner.Run(ctx, work, op.emit)
	if errors.Is(context.Cause(ctx), errEnding) {
		return
	}
	fault.Point("operation:result")
	if op.Kind == client.Boot && result.Error != "" { // nobody follows it
		o.log.Error("not all that was meant to run came back", "project", op.Project, "err", result.Error)
	}
	op.finish(result)
	fault.Point("operation:finished")
}

// Failed is the result of an operation that ended with an error.
func Failed(err error) event.Result {
	return event.Result{Error: err.Error(), Code: spec.Code(err), ExitCode: 1}
}

// next takes an operation out of its queue and starts the one behind it.
func (o *operations) next(op *operation) {
	defer o.quiet.asked()
	o.mu.Lock()
	queue := o.queues[op.Project]
	if len(queue) > 0 && queue[0] == op {
		queue = queue[1:]
		if len(queue) == 0 {
			delete(o.queues, op.Project)
		} else {
			o.queues[op.Project] = queue
			o.startLocked(queue[0])
		}
	}
	o.mu.Unlock()
	if op.ended() {
		o.forgetLater(op, keepResult)
	}
}

// forgetLater removes an ended operation after a while.
func (o *operations) forgetLater(op *operation, after time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending {
		return // the next daemon does it
	}
	o.running.Add(1)
	go func() {
		defer o.running.Done()
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-o.ctx.Done():
			return
		case <-timer.C:
		}
		o.mu.Lock()
		delete(o.all, op.ID)
		o.mu.Unlock()
		if err := o.records.remove(op.Operation); err != nil {
			o.log.Error("cannot forget operation", "operation", op.ID, "err", err)
		}
		o.quiet.asked() // what it has told was the most of our memory
	}()
}

// get finds an operation by id.
func (o *operations) get(id string) (*operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op, ok := o.all[id]; ok {
		return op, nil
	}
	return nil, spec.Errorf(spec.ErrNotFound, "no such operation: %s", id)
}

// atWork names the operations without result, sorted.
func (o *operations) atWork() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var names []string
	for _, op := range o.all {
		if !op.ended() {
			names = append(names, op.name())
		}
	}
	slices.Sort(names)
	return names
}

// close takes no more operations and waits for those that run, whose context
// has ended.
func (o *operations) close() {
	o.mu.Lock()
	o.ending = true
	o.mu.Unlock()
	o.running.Wait()
}

// digests are those of configs and secrets that operations without result
// brought.
func (o *operations) digests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, op := range o.all {
		if op.Input != nil && !op.ended() {
			out = append(out, op.Input.Digests...)
		}
	}
	return out
}
