package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Source is what Observe asks.
type Source interface {
	Containers(ctx context.Context, project string) ([]spec.Container, error)
	Networks(ctx context.Context) ([]spec.Network, error)
	Volumes(ctx context.Context) ([]spec.Volume, error)
	Image(ctx context.Context, reference string) (spec.Image, error)
}

// Actual is what there is.
type Actual struct {
	Project string
	// At is when it was looked at.
	At time.Time
	// Containers of the project, sorted by service, number, name.
	Containers []Container
	// Networks and Volumes of the machine by name: also a foreign or external
	// one may be in the way or of use.
	Networks map[string]spec.Network
	Volumes  map[string]spec.Volume
	// Images are those asked for that are present, by reference.
	Images map[string]spec.Image
}

// Container is a container of the project with what its labels say.
type Container struct {
	spec.Container
	Service string
	// Number is 0 for a one-off.
	Number int
	OneOff bool
}

// ID of the container, 64 hex digits.
func (c *Container) ID() string { return c.Blueprint.ID }

// Name of the container.
func (c *Container) Name() string { return c.Blueprint.Name }

// Observe asks the source what there is of a project. references are the
// images to look for; one that is missing is no error.
func Observe(ctx context.Context, from Source, project string, references []string) (Actual, error) {
	a := Actual{Project: project, At: time.Now(), Networks: map[string]spec.Network{}, Volumes: map[string]spec.Volume{}, Images: map[string]spec.Image{}}
	containers, err := from.Containers(ctx, project)
	if err != nil {
		return Actual{}, fmt.Errorf("cannot list containers of project %s: %w", project, err)
	}
	for _, c := range containers {
		if c.Blueprint.Labels[LabelProject] == project {
			a.Containers = append(a.Containers, Describe(c))
		}
	}
	a.sort()
	networks, err := from.Networks(ctx)
	if err != nil {
		return Actual{}, fmt.Errorf("cannot list networks: %w", err)
	}
	for _, n := range networks {
		a.Networks[n.Name] = n
	}
	volumes, err := from.Volumes(ctx)
	if err != nil {
		return Actual{}, fmt.Errorf("cannot list volumes: %w", err)
	}
	for _, v := range volumes {
		a.Volumes[v.Name] = v
	}
	for _, reference := range references {
		if _, ok := a.Images[reference]; ok {
			continue
		}
		image, err := from.Image(ctx, reference)
		if errors.Is(err, spec.ErrImageMissing) {
			continue
		}
		if err != nil {
			return Actual{}, fmt.Errorf("cannot look for image %s: %w", reference, err)
		}
		a.Images[reference] = image
	}
	return a, nil
}

// Describe reads a container's compose labels.
func Describe(c spec.Container) Container {
	labels := c.Blueprint.Labels
	out := Container{Container: c, Service: labels[LabelService], OneOff: labels[LabelOneOff] == "True"}
	if n, err := strconv.Atoi(labels[LabelNumber]); err == nil && !out.OneOff {
		out.Number = n
	}
	return out
}

func (a *Actual) sort() {
	slices.SortFunc(a.Containers, func(x, y Container) int {
		if c := compare(x.Service, y.Service); c != 0 {
			return c
		}
		if x.Number != y.Number {
			return x.Number - y.Number
		}
		return compare(x.Name(), y.Name())
	})
}

// Replicas returns the containers of a service without one-offs, by number.
func (a *Actual) Replicas(service string) []Container {
	var out []Container
	for _, c := range a.Containers {
		if c.Service == service && !c.OneOff {
			out = append(out, c)
		}
	}
	return out
}

// Services returns the names of all services that have containers, sorted.
func (a *Actual) Services() []string {
	var out []string
	for _, c := range a.Containers {
		out = appendNew(out, c.Service)
	}
	return out
}

// Dependencies returns what each service depends on: by the project where it
// knows the service, otherwise by the labels of its containers.
func Dependencies(p *model.Project, a Actual) map[string][]model.Dependency {
	out := map[string][]model.Dependency{}
	for _, c := range a.Containers {
		if _, ok := out[c.Service]; !ok || !c.OneOff {
			out[c.Service] = parseDepends(c.Blueprint.Labels[LabelDependsOn])
		}
	}
	if p != nil {
		for name := range out {
			if s, ok := p.Service(name); ok {
				out[name] = s.DependsOn
			}
		}
	}
	return out
}

// builtOn adds the images that the build of s takes as contexts.
func (d *Desired) builtOn(out []string, s *Service) []string {
	for _, name := range s.Image.BuiltOn {
		if other := d.Service(name); other != nil && !slices.Contains(out, other.Image.Reference) {
			out = d.builtOn(append(out, other.Image.Reference), other)
		}
	}
	return out
}

// References returns the images that Want's answer needs, sorted.
func (d *Desired) References() []string {
	var out []string
	for i := range d.Services {
		if d.Services[i].Mode.Active() {
			out = d.builtOn(appendNew(out, d.Services[i].Image.Reference), &d.Services[i])
		}
	}
	if d.OneOff != nil {
		out = appendNew(out, d.OneOff.Blueprint.Image)
	}
	slices.Sort(out)
	return out
}
