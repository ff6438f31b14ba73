package spec

import "encoding/json"

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

// Pruned is what a prune took away.
type Pruned struct {
	// Removed are names, and digests of images without one.
	Removed []string `json:"removed,omitempty"`
	// Bytes of layers that no image needs any more.
	Bytes int64 `json:"bytes"`
}
