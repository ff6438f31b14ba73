package builder

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/leaseutil"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/image"
)

// export makes an image of a build's result: manifest and configuration in
// the store, layers uncompressed beside them, and a record on the very folders
// that the build has made. Nothing is unpacked: the image is runnable at once.
// It implements exporter.ExporterInstance for one build.
type export struct {
	kit    *kit
	store  *Store
	record image.Record // after Export
}

// ID implements exporter.ExporterInstance.
func (e *export) ID() int { return 0 }

// Name implements exporter.ExporterInstance: what people see.
func (e *export) Name() string { return "exporting to image" }

// Config implements exporter.ExporterInstance.
func (e *export) Config() *exporter.Config {
	return exporter.NewConfigWithCompression(compression.New(compression.Uncompressed))
}

// Type implements exporter.ExporterInstance.
func (e *export) Type() string { return client.ExporterImage }

// Attrs implements exporter.ExporterInstance.
func (e *export) Attrs() map[string]string { return nil }

// Export implements exporter.ExporterInstance.
func (e *export) Export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	fault.Point("build:export")
	defer fault.Point("build:exported")
	ctx, done, err := leaseutil.WithLease(ctx, e.kit.worker.LeaseManager(), leaseutil.MakeTemporary)
	if err != nil {
		return nil, nil, nil, err
	}
	defer done(context.WithoutCancel(ctx))
	src = src.Clone()
	opts := containerimage.ImageCommitOpts{
		RefCfg:                  cacheconfig.RefConfig{Compression: compression.New(compression.Uncompressed)},
		ForceInlineAttestations: true,
	}
	opts.SetOCITypesDefault(true)
	opts.SetOCIArtifactDefault(false)
	desc, err := e.kit.writer.Commit(ctx, src, info.SessionID, info.InlineCache, &opts, info.CompatibilityVersion, e.Type())
	if err != nil {
		return nil, nil, nil, err
	}
	ref, err := onlyRef(src)
	if err != nil {
		return nil, nil, nil, err
	}
	top, err := e.topSnapshot(ctx, ref, session.NewGroup(info.SessionID))
	if err != nil {
		return nil, nil, nil, err
	}
	ctx = inNamespace(ctx)
	m, err := readManifest(ctx, storedBlobs(e.store.content()), *desc, "")
	if err != nil {
		return nil, nil, nil, err
	}
	if e.record, err = e.store.finish(ctx, m, top); err != nil {
		return nil, nil, nil, err
	}
	return map[string]string{exptypes.ExporterImageDigestKey: string(desc.Digest)}, nil, nil, nil
}

// onlyRef is the result's file system; nil for an empty one.
func onlyRef(src *exporter.Source) (cache.ImmutableRef, error) {
	ps, err := exptypes.ParsePlatforms(src.Metadata)
	if err != nil {
		return nil, err
	}
	if len(ps.Platforms) != 1 {
		return nil, errors.New("building for several platforms at once is not supported")
	}
	ref, _ := src.FindRef(ps.Platforms[0].ID)
	return ref, nil
}

// topSnapshot sees to it that every layer of ref is in its folder and names
// the topmost.
func (e *export) topSnapshot(ctx context.Context, ref cache.ImmutableRef, group session.Group) (string, error) {
	if ref == nil {
		return "", nil
	}
	if err := ref.Finalize(ctx); err != nil {
		return "", fmt.Errorf("cannot finish the layers: %w", err)
	}
	if err := ref.Extract(ctx, group); err != nil {
		return "", fmt.Errorf("cannot unpack the layers: %w", err)
	}
	return e.kit.snapshotOf(ctx, ref.ID())
}

func leaseOf(id string) leases.Lease { return leases.Lease{ID: id} }
