package compose

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Record is what is kept of a project.
type Record struct {
	Name string `json:"name"`
	// Model is what the last up, create or run was given.
	Model *model.Project `json:"model"`
	// Contents are the digests of configs and secrets that Model uses: what
	// must be kept beside it.
	Contents []string `json:"contents,omitempty"`
}

// Projects keeps records durably; cmd/daemon implements it over engine/store.
type Projects interface {
	// LoadProject fails with spec.ErrNotFound.
	LoadProject(ctx context.Context, name string) (Record, error)
	SaveProject(ctx context.Context, r Record) error
	// DeleteProject of one that is not kept is success.
	DeleteProject(ctx context.Context, name string) error
	ListProjects(ctx context.Context) ([]Record, error)
}

// stored returns the kept model of a project, or nil.
func (c *Compose) stored(ctx context.Context, name string) (*model.Project, error) {
	record, err := c.Projects.LoadProject(ctx, name)
	if errors.Is(err, spec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot load project %s: %w", name, err)
	}
	return record.Model, nil
}

// keep saves a project if it is not kept as it is.
func (c *Compose) keep(ctx context.Context, p *model.Project) error {
	have, err := c.stored(ctx, p.Name)
	if err != nil {
		return err
	}
	if have != nil && reflect.DeepEqual(have, p) {
		return nil
	}
	err = c.Projects.SaveProject(ctx, Record{Name: p.Name, Model: p, Contents: state.Contents(p)})
	if err != nil {
		return fmt.Errorf("cannot save project %s: %w", p.Name, err)
	}
	return nil
}

// existing returns what there is of a project and the scope of a command on it.
func (c *Compose) existing(ctx context.Context, project string, services []string) (state.Actual, plan.Scope, error) {
	stored, err := c.stored(ctx, project)
	if err != nil {
		return state.Actual{}, plan.Scope{}, err
	}
	actual, err := state.Observe(ctx, c.Backend, project, nil)
	if err != nil {
		return state.Actual{}, plan.Scope{}, err
	}
	return actual, plan.Scope{Project: stored, Services: services}, nil
}

// given checks that a request brings the project that its operation names.
func given(op Operation, p *model.Project) error {
	switch {
	case p == nil:
		return fmt.Errorf("cannot %s project %s: the request holds no project", op.Kind, op.Project)
	case p.Name != op.Project:
		return fmt.Errorf("cannot %s project %s: the request holds project %s", op.Kind, op.Project, p.Name)
	}
	return nil
}
