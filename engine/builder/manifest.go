package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

const (
	maxManifest = 4 << 20  // bytes; registries refuse larger ones
	maxConfig   = 16 << 20 // bytes
	maxLayers   = 500      // overlayfs(5) takes no more lower directories
)

// manifestOf is one image for one platform, read and checked.
type manifestOf struct {
	Desc     ocispec.Descriptor
	Manifest ocispec.Manifest
	Config   image.Config
}

// blobs gives the content of a descriptor, small ones only.
type blobs func(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error)

// storedBlobs reads what is in the store already.
func storedBlobs(store content.Provider) blobs {
	return func(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
		if desc.Size > limit || desc.Size < 0 {
			return nil, fmt.Errorf("%s has %d bytes, limit is %d", desc.Digest, desc.Size, limit)
		}
		return content.ReadBlob(ctx, store, desc)
	}
}

// fetchedBlobs fetches what is not in the store yet; digest and size are
// verified before it is in there.
func (s *Store) fetchedBlobs(fetcher remotes.Fetcher) blobs {
	stored := storedBlobs(s.content())
	return func(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
		if desc.Size > limit || desc.Size < 0 {
			return nil, fmt.Errorf("%s has %d bytes, limit is %d", desc.Digest, desc.Size, limit)
		}
		err := remotes.Fetch(ctx, s.content(), fetcher, desc)
		if err != nil && !errdefs.IsAlreadyExists(err) {
			// What came is wrong and must not be taken for a beginning.
			_ = s.content().Abort(ctx, remotes.MakeRefKey(ctx, desc))
			return nil, err
		}
		if err := s.leaseBlob(ctx, desc.Digest); err != nil {
			return nil, err
		}
		return stored(ctx, desc, limit)
	}
}

// readManifest goes from desc, an index or a manifest, to the manifest and
// configuration for the platform.
func readManifest(ctx context.Context, read blobs, desc ocispec.Descriptor, platform string) (*manifestOf, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	for range 3 { // an index may hold an index
		if err := image.CheckDigest(string(desc.Digest)); err != nil {
			return nil, err
		}
		raw, err := read(ctx, desc, maxManifest)
		if err != nil {
			return nil, fmt.Errorf("cannot read manifest %s: %w", desc.Digest, err)
		}
		index, manifest, err := parseManifest(raw)
		if err != nil {
			return nil, fmt.Errorf("bad manifest %s: %w", desc.Digest, err)
		}
		if manifest != nil {
			return readConfig(ctx, read, desc, manifest, want, platform != "")
		}
		if desc, err = choose(index, want); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("bad manifest %s: indexes are nested too deeply", desc.Digest)
}

// parseManifest tells an index from a manifest by what it holds, not by what
// it is called; one that is both is refused (CVE-2021-41190).
func parseManifest(raw []byte) (*ocispec.Index, *ocispec.Manifest, error) {
	var probe struct {
		SchemaVersion int             `json:"schemaVersion"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
		Config        json.RawMessage `json:"config"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return nil, nil, err
	}
	isIndex, isManifest := probe.Manifests != nil, probe.Layers != nil || probe.Config != nil
	switch {
	case probe.FSLayers != nil || probe.SchemaVersion == 1:
		return nil, nil, errors.New("it has schema version 1, which nobody supports any more: push the image again")
	case isIndex && isManifest:
		return nil, nil, errors.New("it is an index and a manifest at once")
	case isIndex:
		var index ocispec.Index
		err := json.Unmarshal(raw, &index)
		return &index, nil, err
	case isManifest:
		var manifest ocispec.Manifest
		err := json.Unmarshal(raw, &manifest)
		return nil, &manifest, err
	}
	return nil, nil, errors.New("it is neither an index nor a manifest")
}

// choose picks the best manifest for the platform.
func choose(index *ocispec.Index, want ocispec.Platform) (ocispec.Descriptor, error) {
	matcher := platforms.Only(want)
	var best *ocispec.Descriptor
	var there []string
	for i := range index.Manifests {
		m := &index.Manifests[i]
		if m.Platform == nil || m.Platform.OS == "unknown" || m.Annotations["vnd.docker.reference.type"] != "" {
			continue // attestations
		}
		there = append(there, platforms.Format(*m.Platform))
		if matcher.Match(*m.Platform) && (best == nil || matcher.Less(*m.Platform, *best.Platform)) {
			best = m
		}
	}
	if best == nil && len(there) == 0 && len(index.Manifests) == 1 {
		best = &index.Manifests[0] // an archive of one image that names no platform
	}
	if best == nil {
		return ocispec.Descriptor{}, withCode(image.CodePlatform,
			fmt.Errorf("no image for %s, only for %s", platforms.Format(want), strings.Join(there, ", ")))
	}
	return *best, nil
}

func readConfig(ctx context.Context, read blobs, desc ocispec.Descriptor, m *ocispec.Manifest, want ocispec.Platform, strict bool) (*manifestOf, error) {
	if err := image.CheckDigest(string(m.Config.Digest)); err != nil {
		return nil, fmt.Errorf("bad manifest %s: %w", desc.Digest, err)
	}
	if len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("image has %d layers, limit is %d", len(m.Layers), maxLayers)
	}
	for _, l := range m.Layers {
		if err := image.CheckDigest(string(l.Digest)); err != nil {
			return nil, fmt.Errorf("bad manifest %s: %w", desc.Digest, err)
		}
		if l.Size < 0 {
			return nil, fmt.Errorf("bad manifest %s: layer of %d bytes", desc.Digest, l.Size)
		}
	}
	raw, err := read(ctx, m.Config, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read image configuration %s: %w", m.Config.Digest, err)
	}
	out := &manifestOf{Desc: desc, Manifest: *m}
	if err := json.Unmarshal(raw, &out.Config); err != nil {
		return nil, fmt.Errorf("bad image configuration %s: %w", m.Config.Digest, err)
	}
	if len(out.Config.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("bad image configuration %s: it names %d layers, the manifest %d",
			m.Config.Digest, len(out.Config.RootFS.DiffIDs), len(m.Layers))
	}
	for _, d := range out.Config.RootFS.DiffIDs {
		if err := image.CheckDigest(string(d)); err != nil {
			return nil, fmt.Errorf("bad image configuration %s: %w", m.Config.Digest, err)
		}
	}
	if out.Config.OS != "" && out.Config.OS != "linux" ||
		strict && out.Config.Architecture != "" && !platforms.Only(want).Match(out.Config.Platform) {
		return nil, withCode(image.CodePlatform, fmt.Errorf("no image for %s, only for %s",
			platforms.Format(want), platforms.Format(out.Config.Platform)))
	}
	return out, nil
}

// parsePlatform reads "linux/arm64/v8"; empty means ours.
func parsePlatform(s string) (ocispec.Platform, error) {
	if s == "" {
		p := platforms.DefaultSpec()
		p.OS, p.Architecture = "linux", runtime.GOARCH
		return platforms.Normalize(p), nil
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return p, fmt.Errorf("bad platform %q: %w", s, err)
	}
	return platforms.Normalize(p), nil
}

// childLabels are the labels that keep the blobs below a manifest from being
// collected as long as the manifest itself is held.
func childLabels(m *ocispec.Manifest) map[string]string {
	labels := map[string]string{"containerd.io/gc.ref.content.config": string(m.Config.Digest)}
	for i, l := range m.Layers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = string(l.Digest)
	}
	return labels
}

// isLayer says whether a media type is one we can unpack.
func isLayer(mediaType string) bool {
	return images.IsLayerType(mediaType) || mediaType == ""
}

// fromBytes describes a blob.
func fromBytes(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// mediaTypeOf reads the media type that a manifest says it has.
func mediaTypeOf(raw []byte) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return ""
	}
	return m.MediaType
}
