// Package compose is the façade over projects: one durable operation per
// command (up, down, start, …), and the lists that need no operation (ps, ls).
// It joins state, plan and apply; it decides nothing that they decide.
//
//	Operation ─▶ plan (state.Want, state.Observe, plan.Diff …) ─▶ apply.Run ─▶ event.Result
//
// Invariants:
//   - Every change is a plan that is applied; there is no second way.
//   - An operation that was interrupted is done again with Resumed set and
//     arrives at the result it would have had.
//   - One writer per project is the caller's duty (cmd/daemon).
//   - ps, ls, down, stop and the like work from the stored project or from
//     labels; the compose file is never read here.
package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mycompose/mycompose/compose/apply"
	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

// Compose does operations on projects.
type Compose struct {
	Backend  backend.Backend
	Projects Projects
	Logger   *slog.Logger
	// Version of the tool, for labels.
	Version string
	// Watches are the projects that are watched; nil watches none.
	Watches *Watches
}

// Kind names an operation.
type Kind string

// The operations; the request of each is named behind it.
const (
	Up      Kind = "up"      // UpRequest
	Create  Kind = "create"  // UpRequest
	Run     Kind = "run"     // RunRequest
	Pull    Kind = "pull"    // PullRequest
	Push    Kind = "push"    // PushRequest
	Build   Kind = "build"   // BuildRequest
	Down    Kind = "down"    // DownRequest
	Start   Kind = "start"   // StartRequest
	Stop    Kind = "stop"    // StopRequest
	Restart Kind = "restart" // RestartRequest
	Kill    Kind = "kill"    // KillRequest
	Remove  Kind = "rm"      // RemoveRequest
	Pause   Kind = "pause"   // PauseRequest
	Unpause Kind = "unpause" // PauseRequest
	Boot    Kind = "boot"    // BootRequest
	Watch   Kind = "watch"   // WatchRequest
)

// Operation is one piece of work on a project; its caller (cmd/daemon) keeps
// it durable, in a form of its own.
type Operation struct {
	// ID is unique; a run's container is named by it.
	ID      string
	Kind    Kind
	Project string
	// Request is what the Kind names, by value; nil is its zero value. It may
	// hold registry passwords: keep it as secret as they are.
	Request any
	// DryRun tells the plan and changes nothing.
	DryRun bool
	// Parallel bounds how many steps work at the same time; zero chooses.
	Parallel int
	// StartedAt is when the operation first began, by the backend's clock.
	StartedAt time.Time
	// Resumed: it was interrupted and is done again.
	Resumed bool
}

// Cancels reports whether the operation ends a running up, create, run, start or
// restart of its project; all others wait for it.
func (k Kind) Cancels() bool { return k == Down || k == Stop || k == Kill }

// Canceled is the cause of a context that ends an operation on request.
type Canceled struct {
	// By is who asked: "the client", "down".
	By string
}

// Error says who asked.
func (c *Canceled) Error() string { return "canceled by " + c.By }

// work is what an operation comes to: a plan, how to apply it, and what to do
// once that has succeeded.
type work struct {
	plan    *plan.Plan
	options apply.Options
	// timings has what each step took told.
	timings bool
	// after is done once all succeeded.
	after func(ctx context.Context) error
	// output makes the text for stdout.
	output func(apply.Result) (text string, started []string)
}

// Plan returns what an operation would do. It changes nothing.
func (c *Compose) Plan(ctx context.Context, op Operation) (*plan.Plan, error) {
	w, err := c.work(ctx, op)
	if err != nil {
		return nil, err
	}
	return w.plan, nil
}

// Do does an operation to its end. The result is told as the last event too.
// A context that ends with a *Canceled cause cancels it: steps in flight end,
// none begins.
func (c *Compose) Do(ctx context.Context, op Operation, sink apply.Sink) event.Result {
	log := c.Logger.With("project", op.Project, "operation", op.ID, "kind", string(op.Kind))
	log.Debug("operation begins", "resumed", op.Resumed)
	result := c.do(ctx, op, sink)
	log.Debug("operation ends", "err", result.Error, "exit", result.ExitCode)
	status := event.Done
	if result.Error != "" {
		status = event.Error
	}
	sink(event.Event{Kind: event.KindResult, Status: status, Text: string(op.Kind), Result: &result})
	return result
}

func (c *Compose) do(ctx context.Context, op Operation, sink apply.Sink) event.Result {
	begun := time.Now()
	w, err := c.work(ctx, op)
	if err != nil {
		return failure(err, apply.Result{})
	}
	if op.DryRun {
		return failure(apply.DryRun(w.plan, sink), apply.Result{})
	}
	w.options.Parallel = op.Parallel
	if w.timings {
		w.options.Begun = begun
	}
	done, err := apply.Run(ctx, w.plan, preparing{c.Backend, c.Watches, op.Project}, sink, w.options)
	if err == nil && w.after != nil {
		err = w.after(context.WithoutCancel(ctx))
	}
	result := failure(err, done)
	result.Started = done.Running
	if w.output != nil {
		result.Output, result.Started = w.output(done)
	}
	return result
}

// failure turns an error, or none, into a result.
func failure(err error, done apply.Result) event.Result {
	if err == nil {
		return event.Result{}
	}
	result := event.Result{Error: err.Error(), Code: spec.Code(err), ExitCode: 1, Culprits: done.Culprits}
	var canceled *Canceled
	if errors.As(err, &canceled) {
		result.Canceled = canceled.By
		result.ExitCode = 130 // as after SIGINT
	}
	return result
}

// work makes the plan of an operation.
func (c *Compose) work(ctx context.Context, op Operation) (work, error) {
	switch op.Kind {
	case Up, Create:
		return typed(ctx, op, c.up)
	case Run:
		return typed(ctx, op, c.run)
	case Pull:
		return typed(ctx, op, c.pull)
	case Push:
		return typed(ctx, op, c.push)
	case Build:
		return typed(ctx, op, c.build)
	case Down:
		return typed(ctx, op, c.down)
	case Start:
		return typed(ctx, op, c.start)
	case Stop:
		return typed(ctx, op, c.stop)
	case Restart:
		return typed(ctx, op, c.restart)
	case Kill:
		return typed(ctx, op, c.kill)
	case Pause, Unpause:
		return typed(ctx, op, c.pause)
	case Remove:
		return typed(ctx, op, c.remove)
	case Boot:
		return typed(ctx, op, c.boot)
	case Watch:
		return typed(ctx, op, c.watch)
	}
	return work{}, fmt.Errorf("cannot do operation %s: unknown kind %q", op.ID, op.Kind)
}

// typed hands the request of an operation on.
func typed[R any](ctx context.Context, op Operation, plan func(context.Context, Operation, R) (work, error)) (work, error) {
	request, ok := op.Request.(R)
	if !ok && op.Request != nil {
		return work{}, fmt.Errorf("cannot %s project %s: the request is a %T", op.Kind, op.Project, op.Request)
	}
	return plan(ctx, op, request)
}

// since is the time after which changes count as this operation's own.
func (op Operation) since() time.Time {
	if op.Resumed {
		return op.StartedAt
	}
	return time.Time{}
}
