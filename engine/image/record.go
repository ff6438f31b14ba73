package image

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// Config is an image's OCI configuration with Docker's additions
// (HEALTHCHECK, SHELL, ONBUILD).
type Config = dockerspec.DockerOCIImage

// Record is one image, ready to run. But for Given it never changes.
type Record struct {
	// Digest is the digest of the manifest of our platform, "sha256:…". It
	// names the record and the builder's lease.
	Digest string `json:"digest"`
	// ConfigDigest is what Docker calls the image id.
	ConfigDigest string `json:"configDigest"`
	Platform     string `json:"platform"` // "linux/amd64"
	Config       Config `json:"config"`
	// Layers are the layer folders, the lowest first.
	Layers []Layer `json:"layers"`
	// Size is the sum of the unpacked layers in bytes.
	Size    int64     `json:"size"`
	Created time.Time `json:"created,omitzero"`
	// Given are the names that it was kept under, whether they still point at it
	// or not: one whose own object is torn is made anew from here.
	Given []Name `json:"given,omitempty"`
}

// Layer is one unpacked layer: a plain directory, usable as a lowerdir of
// overlayfs (whiteouts are 0:0 devices, opaque directories have their xattr).
// Nobody writes to it.
type Layer struct {
	// Folder is relative to the state folder, or absolute.
	Folder string `json:"folder"`
	// DiffID is the digest of the uncompressed layer; empty for a layer that
	// was laid down by hand.
	DiffID string `json:"diffId,omitempty"`
	Size   int64  `json:"size,omitempty"` // bytes on disk
}

// LowerDirs returns the absolute layer folders in overlayfs's order: the
// topmost first. An image without layers has none: the caller puts an empty
// directory there.
func (r *Record) LowerDirs(stateDir string) []string {
	dirs := make([]string, 0, len(r.Layers))
	for i := len(r.Layers) - 1; i >= 0; i-- {
		folder := r.Layers[i].Folder
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(stateDir, folder)
		}
		dirs = append(dirs, folder)
	}
	return dirs
}

// Volumes returns the image's VOLUME paths, absolute and clean.
func (r *Record) Volumes() []string {
	var out []string
	for name := range r.Config.Config.Volumes {
		out = append(out, path.Clean("/"+name))
	}
	return out
}

// check refuses a record that must not be stored.
func (r *Record) check() error {
	if err := CheckDigest(r.Digest); err != nil {
		return err
	}
	for _, l := range r.Layers {
		if l.Folder == "" || strings.ContainsAny(l.Folder, "\x00") {
			return fmt.Errorf("bad layer folder %q", l.Folder)
		}
		if !filepath.IsAbs(l.Folder) && !filepath.IsLocal(l.Folder) {
			return fmt.Errorf("layer folder %q leaves the state folder", l.Folder)
		}
	}
	return nil
}

// Name is a reference that points at a record.
type Name struct {
	// Reference is normalized: "docker.io/library/redis:alpine".
	Reference string `json:"reference"`
	// Digest is the record's.
	Digest string `json:"digest"`
	// RepoDigest is the digest the registry answered with: of the index
	// where the image has several platforms. Empty for a built image.
	RepoDigest string `json:"repoDigest,omitempty"`
	// Pulled is when the registry was asked last; zero for a built image.
	Pulled time.Time `json:"pulled,omitzero"`
	// Since is when it was pointed at the record last.
	Since time.Time `json:"since,omitzero"`
}

// Errors of the store.
var (
	// ErrNotFound: no such image here.
	ErrNotFound = errors.New("no such image")
	// ErrInUse: a container still names the image.
	ErrInUse = errors.New("image is in use")
)
