package compose

import (
	"context"
	"time"

	"github.com/mycompose/mycompose/compose/plan"
)

// RemoveRequest asks to remove containers that do not run. Asking the user is
// the client's: Plan lists what would go.
type RemoveRequest struct {
	Services []string `json:"services,omitempty"`
	// Stop stops running ones first; otherwise they stay.
	Stop bool `json:"stop,omitempty"`
	// Volumes removes anonymous volumes.
	Volumes bool           `json:"volumes,omitempty"`
	Timeout *time.Duration `json:"timeout,omitempty"`
}

func (c *Compose) remove(ctx context.Context, op Operation, r RemoveRequest) (work, error) {
	actual, scope, err := c.existing(ctx, op.Project, r.Services)
	if err != nil {
		return work{}, err
	}
	p, err := plan.Remove(actual, scope, plan.RemoveOptions{Stop: r.Stop, Volumes: r.Volumes, Timeout: r.Timeout})
	if err == nil && p.Empty() {
		p.Warnings = append(p.Warnings, "No stopped containers")
	}
	return work{plan: p}, err
}
