package compose

import (
	"context"

	"github.com/mycompose/mycompose/compose/state"
)

// Explain says why the containers of a service are in their present state, and
// why each was made. It changes nothing. A service that neither the stored
// project nor any container knows is a *state.NoSuchServiceError.
func (c *Compose) Explain(ctx context.Context, project, service string) (state.Explanation, error) {
	actual, scope, err := c.existing(ctx, project, nil)
	if err != nil {
		return state.Explanation{}, err
	}
	return state.Explain(scope.Project, actual, service)
}
