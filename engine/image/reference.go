package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// ErrReference is wrapped by errors about a malformed image name.
var ErrReference = errors.New("bad image reference")

// Normalize returns the full form of an image name, which records are kept
// under: "redis" becomes "docker.io/library/redis:latest". A name with a
// digest loses its tag, since the digest decides.
func Normalize(name string) (string, error) {
	named, err := parse(name)
	if err != nil {
		return "", err
	}
	return named.String(), nil
}

func parse(name string) (reference.Named, error) {
	// "sha256:abc" would parse as a repository with a tag.
	if strings.HasPrefix(name, "sha256:") || strings.HasPrefix(name, "sha512:") {
		return nil, fmt.Errorf("%w %q: it is a digest", ErrReference, name)
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrReference, name, err)
	}
	if digested, ok := named.(reference.Digested); ok {
		return reference.WithDigest(reference.TrimNamed(named), digested.Digest())
	}
	return reference.TagNameOnly(named), nil
}

// Familiar returns the short form for people: "redis:alpine". What is no
// reference comes back as it is.
func Familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

// Repository returns the full name without tag and digest.
func Repository(name string) (string, error) {
	named, err := parse(name)
	if err != nil {
		return "", err
	}
	return named.Name(), nil
}

// Registry returns the host part of an image name: "docker.io".
func Registry(name string) (string, error) {
	named, err := parse(name)
	if err != nil {
		return "", err
	}
	return reference.Domain(named), nil
}

// PinnedDigest returns the digest in a name such as "redis@sha256:…", or "".
func PinnedDigest(name string) string {
	named, err := parse(name)
	if err != nil {
		return ""
	}
	if digested, ok := named.(reference.Digested); ok {
		return digested.Digest().String()
	}
	return ""
}

// CheckDigest refuses everything that is not a sha256 digest in its one
// canonical spelling, before any path is built from it.
func CheckDigest(s string) error {
	d, err := digest.Parse(s)
	if err != nil {
		return fmt.Errorf("bad digest %q: %w", s, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("bad digest %q: only sha256 is supported", s)
	}
	return nil
}

// looksLikeID says whether s may be a (shortened) record digest in hex.
func looksLikeID(s string) bool {
	s = strings.TrimPrefix(s, "sha256:")
	if len(s) < 4 || len(s) > 64 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
