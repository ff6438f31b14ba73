package builder

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/tree"
)

// commitLayer commits layer i. One whose archive follows links of the layers
// below is unpacked once more, over them: those are all here now.
func (b *Builder) commitLayer(ctx context.Context, m *manifestOf, i int, layer *unpacked, chain, parent string, job *job) error {
	desc := m.Manifest.Layers[i]
	err := layer.again
	if err == nil {
		err = b.store.commit(ctx, layer, chain, parent)
		if !errors.Is(err, errThroughLink) {
			return err
		}
	}
	b.store.discard(ctx, layer)
	if parent == "" {
		return fmt.Errorf("cannot unpack layer %s: %w", desc.Digest, err)
	}
	if layer, err = b.unpackMerged(ctx, desc, m.Config.RootFS.DiffIDs[i], parent, job); err != nil {
		return fmt.Errorf("cannot unpack layer %s over those below: %w", desc.Digest, err)
	}
	return b.store.commit(ctx, layer, chain, parent)
}

// unpackMerged unpacks a stored layer into an overlay of a new folder and the
// layers from parent down, as docker and containerd unpack every layer.
func (b *Builder) unpackMerged(ctx context.Context, desc ocispec.Descriptor, diffID digest.Digest, parent string, job *job) (*unpacked, error) {
	stored, err := b.store.content().ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	layer, err := b.store.prepare(ctx, parent)
	if err != nil {
		return nil, err
	}
	mounted, err := b.store.merged(ctx, layer)
	if err == nil {
		var root *tree.Root
		root, err = tree.FromFD(int(mounted.Fd()))
		mounted.Close()
		if err == nil {
			in := job.reading(desc, "Extracting", io.NewSectionReader(stored, 0, stored.Size()))
			_, err = unpackChecked(ctx, root, in, diffID, tree.UntarOptions{Merged: true})
			root.Close()
		}
	}
	if err != nil {
		b.store.discard(ctx, layer)
		return nil, err
	}
	return layer, nil
}

// followsLinks says whether an unpack failed on its way to a name, which may
// be another way over lower layers.
func followsLinks(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
