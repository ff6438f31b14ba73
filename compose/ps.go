package compose

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// PsRequest asks for the containers of a project.
type PsRequest struct {
	Project  string   `json:"project"`
	Services []string `json:"services,omitempty"`
	// All shows those that do not run, too.
	All bool `json:"all,omitempty"`
	// Statuses shows only these states, running or not.
	Statuses []string `json:"statuses,omitempty"`
	// OneOffs shows the containers of run commands, too.
	OneOffs bool `json:"oneOffs,omitempty"`
}

// Row is one container as ps shows it; cmd/ui writes it.
type Row struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Project     string            `json:"project"`
	Service     string            `json:"service"`
	Number      int               `json:"number,omitempty"`
	OneOff      bool              `json:"oneOff,omitempty"`
	Image       string            `json:"image"`
	ImageDigest string            `json:"imageDigest,omitempty"`
	Command     []string          `json:"command,omitempty"`
	CreatedAt   time.Time         `json:"createdAt"`
	StartedAt   time.Time         `json:"startedAt,omitzero"`
	ExitedAt    time.Time         `json:"exitedAt,omitzero"`
	State       spec.State        `json:"state"`
	Health      spec.HealthState  `json:"health,omitempty"`
	ExitCode    int               `json:"exitCode"`
	Reason      string            `json:"reason,omitempty"`
	OOMKilled   bool              `json:"oomKilled,omitempty"`
	Restarts    int               `json:"restarts,omitempty"`
	Ports       []spec.Port       `json:"ports,omitempty"`
	Exposed     []string          `json:"exposed,omitempty"`
	Networks    []string          `json:"networks,omitempty"`
	Endpoints   []spec.Endpoint   `json:"endpoints,omitempty"`
	Mounts      []string          `json:"mounts,omitempty"`
	Volumes     int               `json:"volumes"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Ps lists containers of a project by name. A service that neither the project
// nor any container knows is a *state.NoSuchServiceError.
func (c *Compose) Ps(ctx context.Context, r PsRequest) ([]Row, error) {
	actual, scope, err := c.existing(ctx, r.Project, r.Services)
	if err != nil {
		return nil, err
	}
	if err := known(actual, scope); err != nil {
		return nil, err
	}
	var rows []Row
	for i := range actual.Containers {
		container := &actual.Containers[i]
		if shows(r, container) {
			rows = append(rows, RowOf(container.Container))
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

func known(actual state.Actual, scope plan.Scope) error {
	there := actual.Services()
	for _, name := range scope.Services {
		inModel := false
		if scope.Project != nil {
			_, inModel = scope.Project.Service(name)
		}
		if !inModel && !slices.Contains(there, name) {
			return &state.NoSuchServiceError{Name: name}
		}
	}
	return nil
}

func shows(r PsRequest, c *state.Container) bool {
	if (c.OneOff && !r.OneOffs) || (len(r.Services) > 0 && !slices.Contains(r.Services, c.Service)) {
		return false
	}
	if len(r.Statuses) > 0 {
		return slices.Contains(r.Statuses, string(c.Status.State))
	}
	return r.All || c.Status.Up()
}

// RowOf turns a container into a row.
func RowOf(c spec.Container) Row {
	d, b, s := state.Describe(c), c.Blueprint, c.Status
	row := Row{
		ID: b.ID, Name: b.Name, Project: b.Project, Service: d.Service, Number: d.Number, OneOff: d.OneOff,
		Image: b.Image, ImageDigest: b.ImageDigest, Command: s.Command,
		CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, ExitedAt: s.ExitedAt,
		State: s.State, Health: s.Health, ExitCode: s.ExitCode, Reason: s.Reason, OOMKilled: s.OOMKilled, Restarts: s.Restarts,
		Ports: s.Ports, Exposed: s.ExposedPorts, Endpoints: s.Endpoints, Labels: b.Labels,
	}
	for _, at := range b.Networks {
		row.Networks = append(row.Networks, at.Network)
	}
	for _, m := range b.Mounts {
		if m.Type == spec.MountBind {
			row.Mounts = append(row.Mounts, m.Source)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(s.Volumes)) {
		row.Mounts = append(row.Mounts, s.Volumes[target])
		row.Volumes++
	}
	return row
}

// Find returns the container of a service that exec, logs and port mean: the
// one with that number, or with 0 the first that runs.
func (c *Compose) Find(ctx context.Context, project, service string, index int) (spec.Container, error) {
	actual, err := state.Observe(ctx, c.Backend, project, nil)
	if err != nil {
		return spec.Container{}, err
	}
	for _, r := range actual.Replicas(service) {
		if r.Status.Up() && (index == 0 || r.Number == index) {
			return r.Container, nil
		}
	}
	if index != 0 {
		return spec.Container{}, spec.Errorf(spec.ErrNotRunning, "service %q is not running container #%d", service, index)
	}
	return spec.Container{}, spec.Errorf(spec.ErrNotRunning, "service %q is not running", service)
}
