package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// push sends an image to the registry of its name; mirrors only give. What the
// registry has already is not sent.
func (b *Builder) push(ctx context.Context, r image.PushRequest, job *job) (struct{}, error) {
	name, err := image.Normalize(r.Reference)
	if err != nil {
		return struct{}{}, err
	}
	ctx, done, err := b.store.withTemporary(ctx)
	if err != nil {
		return struct{}{}, err
	}
	defer done()
	if err := b.pushLeased(ctx, name, r, job); err != nil {
		return struct{}{}, fmt.Errorf("cannot push %s: %w", image.Familiar(name), classify(err))
	}
	return struct{}{}, nil
}

func (b *Builder) pushLeased(ctx context.Context, name string, r image.PushRequest, job *job) error {
	registry, err := image.Registry(name)
	if err != nil {
		return err
	}
	hosts, err := registryHosts(r.Registries, b.certs)(registry)
	if err != nil {
		return err
	}
	own := hosts[len(hosts)-1]
	desc, err := b.store.manifestDescriptor(ctx, r.Digest)
	if err != nil {
		return err
	}
	if desc, err = b.store.packed(ctx, desc, job); err != nil {
		return err
	}
	pusher, err := docker.NewResolver(docker.ResolverOptions{Hosts: only(own)}).Pusher(ctx, name)
	if err != nil {
		return err
	}
	err = remotes.PushContent(ctx, pusher, desc, b.store.content(), nil, platforms.All, job.pushing)
	if err != nil && !isFinal(ctx, err) {
		err = failed([]failure{explainHost(own, name, r.Registries, err)})
	}
	return err
}

// pushing tells of layers on their way.
func (j *job) pushing(h images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if !images.IsLayerType(desc.MediaType) {
			return h.Handle(ctx, desc)
		}
		j.layer(desc, "Pushing", false)
		children, err := h.Handle(ctx, desc)
		if err == nil {
			j.layer(desc, "Pushed", true)
		}
		return children, err
	})
}

// gzipType is the compressed form of layers that lie here as plain tars: those that
// were built, and those of an image import; "" for all others.
func gzipType(mediaType string) string {
	switch mediaType {
	case ocispec.MediaTypeImageLayer:
		return ocispec.MediaTypeImageLayerGzip
	case images.MediaTypeDockerSchema2Layer:
		return images.MediaTypeDockerSchema2LayerGzip
	}
	return ""
}

// packed is the manifest of the same image with all layers compressed, as
// registries and those who pull want it. What it writes goes with the lease of
// ctx; equal layers become equal bytes, which the registry has next time.
func (s *Store) packed(ctx context.Context, desc ocispec.Descriptor, job *job) (ocispec.Descriptor, error) {
	raw, err := storedBlobs(s.content())(ctx, desc, maxManifest)
	if err != nil {
		return desc, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return desc, fmt.Errorf("bad manifest %s: %w", desc.Digest, err)
	}
	changed := false
	for i, layer := range manifest.Layers {
		if gzipType(layer.MediaType) == "" {
			continue
		}
		job.layer(layer, "Compressing", false)
		if manifest.Layers[i], err = s.gzipped(ctx, layer); err != nil {
			return desc, fmt.Errorf("cannot compress layer %s: %w", layer.Digest, err)
		}
		job.layer(layer, "Compressed", true)
		changed = true
	}
	if !changed {
		return desc, nil
	}
	if raw, err = json.Marshal(manifest); err != nil {
		return desc, err
	}
	out := ocispec.Descriptor{MediaType: desc.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return out, s.writeBlob(ctx, out, raw)
}

// gzipped writes the compressed form of a layer into the store.
func (s *Store) gzipped(ctx context.Context, layer ocispec.Descriptor) (out ocispec.Descriptor, err error) {
	from, err := s.content().ReaderAt(ctx, layer)
	if err != nil {
		return out, err
	}
	defer from.Close()
	to, err := content.OpenWriter(ctx, s.content(), content.WithRef("gzip "+string(layer.Digest)))
	if err != nil {
		return out, err
	}
	defer to.Close()
	if err := to.Truncate(0); err != nil {
		return out, err
	}
	counter := &countingWriter{to: to}
	packer := gzip.NewWriter(counter)
	_, err = io.Copy(packer, content.NewReader(from))
	if err == nil {
		err = packer.Close()
	}
	if err != nil {
		return out, err
	}
	out = ocispec.Descriptor{MediaType: gzipType(layer.MediaType), Digest: to.Digest(), Size: counter.written}
	if err := to.Commit(ctx, out.Size, out.Digest); err != nil && !errdefs.IsAlreadyExists(err) {
		return out, err
	}
	return out, s.leaseBlob(ctx, out.Digest)
}

type countingWriter struct {
	to      io.Writer
	written int64 // bytes
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.written += int64(n)
	return n, err
}
