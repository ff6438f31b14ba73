package builder

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/platforms"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/image"
)

// finish holds the image m by its lease and describes it. top is the snapshot
// of its topmost layer, "" for an image without layers.
func (s *Store) finish(ctx context.Context, m *manifestOf, top string) (image.Record, error) {
	// The manifest keeps configuration and blobs, the lease both the manifest
	// and the layer folders.
	info := content.Info{Digest: m.Desc.Digest, Labels: childLabels(&m.Manifest)}
	var fields []string
	for key := range info.Labels {
		fields = append(fields, "labels."+key)
	}
	if _, err := s.content().Update(ctx, info, fields...); err != nil {
		return image.Record{}, fmt.Errorf("cannot label manifest %s: %w", m.Desc.Digest, err)
	}
	resources := []leases.Resource{{ID: string(m.Desc.Digest), Type: "content"}}
	if top != "" {
		resources = append(resources, leases.Resource{ID: top, Type: snapshotType})
	}
	fault.Point("build:hold")
	if err := s.hold(ctx, string(m.Desc.Digest), resources...); err != nil {
		return image.Record{}, err
	}
	fault.Point("build:held")
	return s.describe(ctx, m, top)
}

// describe makes the record. Folders are relative to the state folder, so that
// a state folder may be moved.
func (s *Store) describe(ctx context.Context, m *manifestOf, top string) (image.Record, error) {
	layers, err := s.folders(ctx, top)
	if err != nil {
		return image.Record{}, err
	}
	record := image.Record{
		Digest:       string(m.Desc.Digest),
		ConfigDigest: string(m.Manifest.Config.Digest),
		Platform:     platforms.Format(m.Config.Platform),
		Config:       m.Config,
		Layers:       layers,
	}
	if m.Config.Created != nil {
		record.Created = *m.Config.Created
	}
	diffIDs := m.Config.RootFS.DiffIDs
	for i := range record.Layers {
		l := &record.Layers[i]
		if rel, err := filepath.Rel(s.stateDir, l.Folder); err == nil && filepath.IsLocal(rel) {
			l.Folder = rel
		}
		record.Size += l.Size
		if len(diffIDs) == len(record.Layers) {
			l.DiffID = string(diffIDs[i])
		}
	}
	return record, nil
}
