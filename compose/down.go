package compose

import (
	"context"
	"fmt"
	"time"

	"github.com/mycompose/mycompose/compose/model"
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
	// File is what that file has: that is meant, whatever file the project was
	// last brought up from.
	File *model.Outline `json:"file,omitempty"`
}

func (c *Compose) down(ctx context.Context, op Operation, r DownRequest) (work, error) {
	if r.Images != "" && r.Images != "local" && r.Images != "all" {
		return work{}, fmt.Errorf("invalid value for --rmi: %q", r.Images)
	}
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	scope.Orphans, scope.File = r.RemoveOrphans, r.File
	dangling, err := c.dangling(ctx, op.Project, r.Images)
	if err != nil {
		return work{}, err
	}
	p, err := plan.Down(actual, scope, plan.DownOptions{Volumes: r.Volumes, Images: r.Images, Dangling: dangling, Timeout: r.Timeout})
	if err != nil {
		return work{}, err
	}
	if p.Empty() && scope.Project == nil && !r.Expected {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Warning: No resource found to remove for project %q.", op.Project))
	}
	return work{plan: p, after: func(ctx context.Context) error { return c.forget(ctx, op.Project, r) }}, nil
}

// dangling are the digests of images that were built for a project and have no
// name any more, if images are to go.
func (c *Compose) dangling(ctx context.Context, project, which string) ([]string, error) {
	if which == "" {
		return nil, nil
	}
	images, err := c.Backend.Images(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot find images of project %s: %w", project, err)
	}
	var out []string
	for _, image := range images {
		if len(image.Names) == 0 && image.Config.Labels[state.LabelProject] == project {
			out = append(out, image.Digest)
		}
	}
	return out, nil
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
