package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// reapAfter is how long the client of `run --rm` has for taking the exit code
// and removing the container itself. After that nobody will.
const reapAfter = 10 * time.Second

// ender tells what happens to containers; the engine does.
type ender interface {
	Events() (events <-chan spec.Event, stop func())
	Containers(ctx context.Context, project string) ([]spec.Container, error)
}

// reaper removes one-off containers whose client has gone.
type reaper struct {
	compose *compose.Compose
	engine  ender
	log     *slog.Logger
	work    sync.WaitGroup
}

// startReaper begins, with what ended before; it ends with ctx.
func startReaper(ctx context.Context, e ender, c *compose.Compose, log *slog.Logger) *reaper {
	r := &reaper{compose: c, engine: e, log: log}
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		for ctx.Err() == nil {
			r.listen(ctx)
		}
	}()
	return r
}

func (r *reaper) wait() { r.work.Wait() }

// listen hears ends until the subscription ends, which it also does if we lag
// behind; so it begins by looking.
func (r *reaper) listen(ctx context.Context) {
	events, stop := r.engine.Events()
	defer stop()
	due := map[string]time.Time{} // projects
	containers, err := r.engine.Containers(ctx, "")
	if err != nil {
		r.log.Error("cannot list containers", "err", err)
	}
	for _, c := range containers {
		if c.Blueprint.Labels[state.LabelRemove] != "" && c.Status.State == spec.StateExited {
			due[c.Blueprint.Project] = time.Now().Add(reapAfter)
		}
	}
	for {
		var tick <-chan time.Time // nothing is due: an idle daemon sleeps
		if len(due) > 0 {
			tick = time.After(reapAfter / 4)
		}
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			if e.Action == "die" && e.Labels[state.LabelRemove] != "" {
				due[e.Project] = time.Now().Add(reapAfter)
			}
		case now := <-tick:
			for project, at := range due {
				if now.Before(at) {
					continue
				}
				delete(due, project)
				if err := r.compose.Reap(ctx, project); err != nil {
					r.log.Error("cannot remove ended containers", "project", project, "err", err)
				}
			}
		}
	}
}
