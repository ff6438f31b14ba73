package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// actor does what a session decides: files go straight to the backend,
// everything else is an operation.
type actor struct {
	watches  *Watches
	watching *watching
}

// Replicas implements watch.Actor.
func (a *actor) Replicas(ctx context.Context, service string) ([]string, error) {
	containers, err := a.containers(ctx, service)
	ids := make([]string, len(containers))
	for i, c := range containers {
		ids[i] = c.Blueprint.ID
	}
	return ids, err
}

func (a *actor) containers(ctx context.Context, service string) ([]spec.Container, error) {
	all, err := a.watches.Compose.Backend.Containers(ctx, a.watching.project)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c spec.Container) bool { return !isReplica(c, service) }), nil
}

func isReplica(c spec.Container, service string) bool {
	labels := c.Blueprint.Labels
	return labels[state.LabelService] == service && labels[state.LabelOneOff] != "True"
}

// SyncFiles implements watch.Actor.
func (a *actor) SyncFiles(ctx context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error) {
	return a.watches.Compose.Backend.SyncFiles(ctx, id, changes)
}

// Restart implements watch.Actor. What a user has stopped stays stopped.
func (a *actor) Restart(ctx context.Context, service string) error {
	containers, err := a.containers(ctx, service)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(containers, func(c spec.Container) bool { return !c.Status.StoppedByUser }) {
		return nil
	}
	return a.do(ctx, Restart, RestartRequest{Services: []string{service}}, func(event.Event) {})
}

// Rebuild implements watch.Actor.
func (a *actor) Rebuild(ctx context.Context, service string) error {
	up := UpRequest{Services: []string{service}, NoDeps: true, Build: "always", IgnoreOrphans: true, Prune: !a.watching.now().KeepImages}
	return a.do(ctx, Up, up, func(e event.Event) {
		if e.Kind == event.KindOutput {
			a.watching.news.tell(event.Watch{Kind: event.WatchBuild, Service: service, Build: &e})
		}
	})
}

func (a *actor) do(ctx context.Context, kind Kind, request any, tell func(event.Event)) error {
	result, err := a.watches.Operations.Do(ctx, a.watching.now(), kind, request, tell)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case result.Error != "":
		return spec.FromCode(result.Code, result.Error)
	}
	return nil
}

// Exec implements watch.Actor.
func (a *actor) Exec(ctx context.Context, service string, hook model.Hook, output func(string)) error {
	containers, err := a.containers(ctx, service)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range containers {
		if c.Status.State != spec.StateRunning {
			continue
		}
		x := spec.Exec{
			Container: c.Blueprint.ID, Args: hook.Command, User: hook.User, WorkingDir: hook.WorkingDir, Privileged: hook.Privileged,
		}
		for _, name := range slices.Sorted(maps.Keys(hook.Environment)) {
			x.Environment = append(x.Environment, name+"="+hook.Environment[name])
		}
		result, err := a.watches.Execs.ExecLines(ctx, x, output)
		if err == nil && result.ExitCode != 0 {
			err = fmt.Errorf("cannot exec in %s: exit code %d", c.Blueprint.Name, result.ExitCode)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// preparing is a backend in which containers of a watched project have all
// their files before they start.
type preparing struct {
	backend.Backend
	watches *Watches
	project string
}

// StartContainer implements backend.Containers.
func (p preparing) StartContainer(ctx context.Context, id string) error {
	session := p.watches.session(p.project)
	if session == nil {
		return p.Backend.StartContainer(ctx, id)
	}
	containers, err := p.Backend.Containers(ctx, p.project)
	if err != nil {
		return err
	}
	for _, c := range containers {
		service := c.Blueprint.Labels[state.LabelService]
		if c.Blueprint.ID != id || !isReplica(c, service) {
			continue
		}
		if err := session.Prepare(ctx, service, id); err != nil {
			return fmt.Errorf("cannot put files into %s: %w", c.Blueprint.Name, err)
		}
		defer session.Started(service)
	}
	return p.Backend.StartContainer(ctx, id)
}
