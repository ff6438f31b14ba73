package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/mycompose/mycompose/engine/image"
)

// layerMediaTypes by compression.
var layerMediaTypes = map[string]string{
	plain:    ocispec.MediaTypeImageLayer,
	gzipped:  ocispec.MediaTypeImageLayerGzip,
	zstdized: ocispec.MediaTypeImageLayerZstd,
}

// importTar makes an image with one layer out of a root file system.
func (b *Builder) importTar(ctx context.Context, r image.ImportRequest, tar *os.File, job *job) (image.Result, error) {
	name, err := image.Normalize(r.Reference)
	if err != nil {
		return image.Result{}, err
	}
	if image.PinnedDigest(name) != "" {
		return image.Result{}, fmt.Errorf("cannot import %s: a new image cannot be named by a digest", r.Reference)
	}
	ctx, done, err := b.store.withTemporary(ctx)
	if err != nil {
		return image.Result{}, err
	}
	defer done()
	record, err := b.importLeased(ctx, r, tar, job)
	if err != nil {
		return image.Result{}, fmt.Errorf("cannot import %s: %w", image.Familiar(name), classify(err))
	}
	return image.Result{Record: record, Names: []image.Name{{Reference: name, Digest: record.Digest}}}, nil
}

func (b *Builder) importLeased(ctx context.Context, r image.ImportRequest, tar *os.File, job *job) (image.Record, error) {
	platform, err := parsePlatform(r.Platform)
	if err != nil {
		return image.Record{}, err
	}
	layer, err := b.store.prepare(ctx, "")
	if err != nil {
		return image.Record{}, err
	}
	desc, diffID, err := b.takeIn(ctx, layer, tar, job)
	if err != nil {
		b.store.discard(ctx, layer)
		return image.Record{}, err
	}
	now := time.Now().UTC()
	config := image.Config{}
	config.Created = &now
	config.Platform = platform
	config.Config.Cmd = r.Command
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
	config.History = []ocispec.History{{Created: &now, CreatedBy: "mycompose image import"}}
	m, err := b.store.writeImage(ctx, config, []ocispec.Descriptor{desc})
	if err != nil {
		b.store.discard(ctx, layer)
		return image.Record{}, err
	}
	if b.store.hasLayer(ctx, string(diffID)) {
		b.store.discard(ctx, layer)
		err = b.store.leaseLayer(ctx, string(diffID))
	} else {
		err = b.store.commit(ctx, layer, string(diffID), "")
	}
	if err != nil {
		return image.Record{}, err
	}
	return b.store.finish(ctx, m, string(diffID))
}

// takeIn stores the archive as a blob, so that the image can be built upon and
// pushed, and unpacks it into layer while reading it once.
func (b *Builder) takeIn(ctx context.Context, layer *unpacked, tar *os.File, job *job) (ocispec.Descriptor, digest.Digest, error) {
	size := int64(0)
	if st, err := tar.Stat(); err == nil && st.Mode().IsRegular() {
		size = st.Size()
	}
	writer, err := content.OpenWriter(ctx, b.store.content(), content.WithRef(layer.key))
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	defer writer.Close()
	progress := ocispec.Descriptor{Digest: digest.Digest(layer.key), Size: size}
	var result streamed
	var total int64
	reader, pipe := io.Pipe()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		both := struct{ io.Writer }{io.MultiWriter(writer, pipe)}
		in, err := unwrap(job.reading(progress, "Importing", tar))
		var n int64
		if err == nil {
			n, err = io.CopyBuffer(both, in, make([]byte, 256<<10))
		}
		total = n
		pipe.CloseWithError(err)
		return err
	})
	group.Go(func() error {
		var err error
		result, err = unpackFolder(groupCtx, layer.folder, reader)
		if err != nil {
			reader.CloseWithError(err)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return ocispec.Descriptor{}, "", err
	}
	if total == 0 {
		return ocispec.Descriptor{}, "", errors.New("the file is empty")
	}
	desc := ocispec.Descriptor{MediaType: layerMediaTypes[result.compression], Digest: writer.Digest(), Size: total}
	if err := writer.Commit(ctx, total, desc.Digest); err != nil {
		if !errdefs.IsAlreadyExists(err) {
			return desc, "", err
		}
		if err := b.store.leaseBlob(ctx, desc.Digest); err != nil {
			return desc, "", err
		}
	}
	return desc, result.diffID, nil
}

// writeImage stores configuration and manifest of an image.
func (s *Store) writeImage(ctx context.Context, config image.Config, layers []ocispec.Descriptor) (*manifestOf, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	m := &manifestOf{Config: config}
	m.Manifest = ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    fromBytes(ocispec.MediaTypeImageConfig, raw),
		Layers:    layers,
	}
	if err := s.writeBlob(ctx, m.Manifest.Config, raw); err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(m.Manifest); err != nil {
		return nil, err
	}
	m.Desc = fromBytes(ocispec.MediaTypeImageManifest, raw)
	return m, s.writeBlob(ctx, m.Desc, raw)
}

func (s *Store) writeBlob(ctx context.Context, desc ocispec.Descriptor, raw []byte) error {
	ref := "blob-" + string(desc.Digest)
	if err := content.WriteBlob(ctx, s.content(), ref, bytes.NewReader(raw), desc); err != nil {
		return fmt.Errorf("cannot store blob %s: %w", desc.Digest, err)
	}
	return s.leaseBlob(ctx, desc.Digest)
}
