package spec

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// ImageDetails is all that is known of an image.
type ImageDetails struct {
	Image
	// ID is the digest of the image's configuration: what Docker calls its id.
	ID string `json:"id"`
	// RepoDigests are "name@sha256:…", as registries know it.
	RepoDigests []string `json:"repoDigests,omitempty"`
	// OCI is the whole configuration (OCI image-spec config.md, with Docker's
	// additions).
	OCI json.RawMessage `json:"oci"`
}

// Deleted is what became of an image that was asked to go.
type Deleted struct {
	// Untagged are the names that are gone, Digest the image if it is gone too.
	Untagged []string `json:"untagged,omitempty"`
	Digest   string   `json:"digest,omitempty"`
}

// Prune says which images go. Those that containers use stay in any case.
type Prune struct {
	// All takes those with a name too.
	All bool `json:"all,omitempty"`
	// Before spares what was made at that time or later; zero spares nothing.
	Before time.Time `json:"before,omitzero"`
	// Labels must be there, Without must not: "NAME" or "NAME=VALUE".
	Labels  []string `json:"labels,omitempty"`
	Without []string `json:"without,omitempty"`
}

// Takes reports whether a prune is meant for an image.
func (p Prune) Takes(i Image) bool {
	if !p.All && len(i.Names) > 0 || !p.Before.IsZero() && !i.CreatedAt.Before(p.Before) {
		return false
	}
	has := func(label string) bool { return HasLabel(i.Config.Labels, label) }
	return !slices.ContainsFunc(p.Without, has) && !slices.ContainsFunc(p.Labels, func(label string) bool { return !has(label) })
}

// HasLabel reports whether labels hold "NAME" or "NAME=VALUE".
func HasLabel(labels map[string]string, wanted string) bool {
	name, value, given := strings.Cut(wanted, "=")
	have, ok := labels[name]
	return ok && (!given || have == value)
}

// Pruned is what a prune took away.
type Pruned struct {
	// Removed are names, and digests of images without one.
	Removed []string `json:"removed,omitempty"`
	// Bytes of layers that no image needs any more.
	Bytes int64 `json:"bytes"`
}
