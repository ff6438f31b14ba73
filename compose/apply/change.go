package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

// fetch pulls or builds an image.
func (r *runner) fetch(ctx context.Context, step *plan.Step) error {
	r.begin(step)
	if step.Kind == plan.PullImage && step.Pull == nil { // only to be said
		r.end(step)
		return nil
	}
	var image spec.Image
	var err error
	if step.Kind == plan.PullImage {
		image, step, err = r.pull(ctx, step)
	} else {
		image, err = r.build(ctx, step)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		r.emit(resource(idOf(step), event.Warning, "Interrupted", ""))
		return err
	case step.Optional:
		r.emit(resource(idOf(step), event.Warning, "Warning", err.Error()))
		return nil
	default:
		r.failed(step, err.Error())
		return err
	}
	r.mu.Lock()
	if r.images == nil {
		r.images = map[string]spec.Image{}
	}
	r.images[step.Target] = image
	r.mu.Unlock()
	r.end(step)
	return nil
}

// pull asks a registry, and builds what it does not have. It returns the step
// as it was done.
func (r *runner) pull(ctx context.Context, step *plan.Step) (spec.Image, *plan.Step, error) {
	pull := *step.Pull
	pull.Registries = r.options.Registries
	image, err := r.backend.PullImage(ctx, pull, r.progress(step))
	if err == nil || step.Build == nil || ctx.Err() != nil {
		return image, step, err
	}
	r.emit(resource(idOf(step), event.Warning, "Warning", err.Error()))
	build := *step
	build.Begin, build.End = "Building", "Built"
	r.begin(&build)
	image, err = r.build(ctx, &build)
	return image, &build, err
}

func (r *runner) build(ctx context.Context, step *plan.Step) (spec.Image, error) {
	build := *step.Build
	build.Registries = r.options.Registries
	image, err := r.backend.BuildImage(ctx, build, r.progress(step))
	if err != nil && build.Where != "" && ctx.Err() == nil {
		err = fmt.Errorf("%s: %w", build.Where, err)
	}
	return image, err
}

// change does a step that alters containers, networks, volumes or images.
func (r *runner) change(ctx context.Context, step *plan.Step) error {
	if step.Kind == plan.Gate {
		return fmt.Errorf("cannot plan the containers of %s: its image is not known", step.Target)
	}
	r.begin(step)
	err := r.do(ctx, step)
	switch {
	case err == nil:
		r.end(step)
		return nil
	case step.Optional && step.Kind == plan.PushImage:
		r.emit(resource(idOf(step), event.Warning, "Warning", err.Error()))
		return nil
	case step.Optional && errors.Is(err, spec.ErrInUse):
		r.emit(resource(idOf(step), event.Warning, "Resource is still in use", ""))
		return nil
	case step.Kind == plan.CreateContainer:
		id := fmt.Sprintf("service:%s:%d", step.Service, step.Number)
		r.emit(resource(id, event.Error, "Error", err.Error()))
		return err
	}
	r.failed(step, err.Error())
	return err
}

func (r *runner) do(ctx context.Context, step *plan.Step) error {
	switch step.Kind {
	case plan.CreateNetwork:
		_, err := r.backend.CreateNetwork(ctx, *step.Network)
		return err
	case plan.RemoveNetwork:
		return r.backend.RemoveNetwork(ctx, step.Target)
	case plan.CreateVolume:
		_, err := r.backend.CreateVolume(ctx, *step.Volume)
		return err
	case plan.RemoveVolume:
		return r.backend.RemoveVolume(ctx, step.Target)
	case plan.PushImage:
		if step.Push == nil { // only to be said
			return nil
		}
		push := *step.Push
		push.Registries = r.options.Registries
		return r.backend.PushImage(ctx, push, r.progress(step))
	case plan.RemoveImage:
		return r.backend.RemoveImage(ctx, step.Target)
	case plan.CreateContainer:
		return r.create(ctx, step)
	case plan.StartContainer:
		return r.start(ctx, step)
	case plan.StopContainer:
		r.ran(step.Target, false)
		return unless(spec.ErrNotFound, r.backend.StopContainer(ctx, r.id(step), step.Stop))
	case plan.KillContainer:
		err := unless(spec.ErrNotFound, r.backend.KillContainer(ctx, r.id(step), step.Signal))
		return unless(spec.ErrNotRunning, err)
	case plan.PauseContainer:
		return unless(spec.ErrNotRunning, r.backend.PauseContainer(ctx, r.id(step)))
	case plan.UnpauseContainer:
		return unless(spec.ErrNotRunning, r.backend.UnpauseContainer(ctx, r.id(step)))
	case plan.RemoveContainer:
		r.ran(step.Target, false)
		return r.backend.RemoveContainer(ctx, r.id(step), step.Remove)
	}
	return fmt.Errorf("cannot do step %s: unknown kind %q", step.ID, step.Kind)
}

func (r *runner) create(ctx context.Context, step *plan.Step) error {
	b := *step.Blueprint
	for _, n := range b.Namespaces() {
		if owner := n.Owner(); owner != "" {
			*n.Mode = spec.ContainerPrefix + r.known(owner)
		}
	}
	c, err := r.backend.CreateContainer(ctx, b)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[step.Target] = c.Blueprint.ID
	r.result.Created[step.Target] = c.Blueprint.ID
	return nil
}

func (r *runner) start(ctx context.Context, step *plan.Step) error {
	if err := r.backend.StartContainer(ctx, r.id(step)); err != nil {
		r.blame(r.id(step))
		return err
	}
	r.ran(step.Target, true)
	return nil
}

// id is the container that a step is about: the one that was there when the
// plan was made, or the one that this run created.
func (r *runner) id(step *plan.Step) string {
	if step.Container != "" {
		return step.Container
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[step.Target]
}

// known is the id of a container of the project. Another's stays what the user
// wrote, so that a backend finds whoever has that name at each start.
func (r *runner) known(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := r.ids[name]; ok {
		return id
	}
	return name
}

// ran notes whether the run leaves a container running.
func (r *runner) ran(name string, running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if running {
		r.running[name] = true
	} else {
		delete(r.running, name)
	}
}

func (r *runner) blame(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Culprits = append(r.result.Culprits, id)
}

// unless turns an error that means "it is so already" into success.
func unless(fine, err error) error {
	if errors.Is(err, fine) {
		return nil
	}
	return err
}
