package compose

import (
	"context"
	"fmt"
	"time"

	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
)

// DownRequest asks to stop and remove a project's containers and networks.
type DownRequest struct {
	Services []string `json:"services,omitempty"`
	// Volumes removes declared named volumes and anonymous ones too.
	Volumes       bool `json:"volumes,omitempty"`
	RemoveOrphans bool `json:"removeOrphans,omitempty"`
	// Images is "", local or all.
	Images  string         `json:"images,omitempty"`
	Timeout *time.Duration `json:"timeout,omitempty"`
	// Expected: the project has a file, so nothing to remove needs no word.
	Expected bool `json:"expected,omitempty"`
}

func (c *Compose) down(ctx context.Context, op Operation, r DownRequest) (work, error) {
	if r.Images != "" && r.Images != "local" && r.Images != "all" {
		return work{}, fmt.Errorf("invalid value for --rmi: %q", r.Images)
	}
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	scope.Orphans = r.RemoveOrphans
	p, err := plan.Down(actual, scope, plan.DownOptions{Volumes: r.Volumes, Images: r.Images, Timeout: r.Timeout})
	if err != nil {
		return work{}, err
	}
	if p.Empty() && scope.Project == nil && !r.Expected {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Warning: No resource found to remove for project %q.", op.Project))
	}
	return work{plan: p, after: func(ctx context.Context) error { return c.forget(ctx, op.Project, r) }}, nil
}

// forget drops the record of a project of which no container is left.
func (c *Compose) forget(ctx context.Context, project string, r DownRequest) error {
	if len(r.Services) > 0 {
		return nil
	}
	left, err := state.Observe(ctx, c.Backend, project, nil)
	if err != nil || len(left.Containers) > 0 {
		return err
	}
	if c.Watches != nil {
		if err := c.Watches.Stop(project); err != nil {
			return err
		}
	}
	if err := c.Projects.DeleteProject(ctx, project); err != nil {
		return fmt.Errorf("cannot forget project %s: %w", project, err)
	}
	return nil
}
