package builder

import (
	"context"
	"errors"

	"github.com/mycompose/mycompose/engine/image"
)

func (b *Builder) build(ctx context.Context, r image.BuildRequest, job *job) (image.Result, error) {
	return image.Result{}, errors.New("being written")
}
func (b *Builder) prune(ctx context.Context, r image.PruneRequest) (int64, error) {
	return 0, errors.New("being written")
}
