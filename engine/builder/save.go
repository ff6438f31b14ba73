package builder

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/platforms"

	"github.com/mycompose/mycompose/engine/image"
)

// save writes images into an archive: an OCI layout that has docker save's
// manifest.json beside it.
func (b *Builder) save(ctx context.Context, r image.SaveRequest, file *os.File) error {
	opts := []archive.ExportOpt{archive.WithPlatform(platforms.All)}
	for _, i := range r.Images {
		desc, err := b.store.manifestDescriptor(ctx, i.Digest)
		if err != nil {
			return fmt.Errorf("cannot save image %s: %w", i.Digest, err)
		}
		opts = append(opts, archive.WithManifest(desc, i.Names...))
	}
	out := bufio.NewWriterSize(file, 256<<10)
	err := archive.Export(ctx, b.store.content(), out, opts...)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("cannot write the archive: %w", classify(err))
	}
	return nil
}
