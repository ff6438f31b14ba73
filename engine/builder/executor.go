package builder

import (
	"context"
	"errors"

	"github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
)

type stepExecutor struct{ builder *Builder }

func (e *stepExecutor) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	return nil, errors.New("being written")
}

func (e *stepExecutor) Exec(ctx context.Context, id string, process executor.ProcessInfo) error {
	return errors.New("a second process in a build step is not supported")
}
