package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Image finds a local image.
func (f *Fake) Image(_ context.Context, reference string) (spec.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if image, ok := f.images[reference]; ok {
		return image, nil
	}
	for _, image := range f.images {
		if image.Digest == reference {
			return image, nil
		}
	}
	return spec.Image{}, spec.Errorf(spec.ErrImageMissing, "No such image: %s", reference)
}

// Images lists all.
func (f *Fake) Images(context.Context) ([]spec.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []spec.Image
	for _, reference := range slices.Sorted(maps.Keys(f.images)) {
		image := f.images[reference]
		image.Names = []string{reference}
		out = append(out, image)
	}
	return out, nil
}

// PullImage takes an image from what was published.
func (f *Fake) PullImage(ctx context.Context, p spec.Pull, progress func(spec.Progress)) (spec.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if image, ok := f.images[p.Reference]; ok && p.Policy != spec.PullAlways {
		return image, nil
	}
	if err := f.beginLocked(ctx, "pull", p.Reference); err != nil {
		return spec.Image{}, err
	}
	image, ok := f.registry[p.Reference]
	if !ok || p.Policy == spec.PullNever {
		return spec.Image{}, spec.Errorf(spec.ErrImageMissing, "cannot pull image %s: manifest unknown", p.Reference)
	}
	if progress != nil {
		progress(spec.Progress{ID: "layer " + image.Digest[:19], Text: "Pull complete", Done: true})
	}
	f.images[p.Reference] = image
	return image, nil
}

// PushImage publishes an image.
func (f *Fake) PushImage(ctx context.Context, p spec.Push, _ func(spec.Progress)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	image, ok := f.images[p.Reference]
	if !ok {
		return spec.Errorf(spec.ErrImageMissing, "No such image: %s", p.Reference)
	}
	if err := f.beginLocked(ctx, "push", p.Reference); err != nil {
		return err
	}
	f.registry[p.Reference] = image
	return nil
}

// BuildImage makes an image of the context's name and its edits; a Dockerfile
// that ends in "broken" fails.
func (f *Fake) BuildImage(ctx context.Context, b spec.Build, progress func(spec.Progress)) (spec.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.beginLocked(ctx, "build", b.Name); err != nil {
		return spec.Image{}, err
	}
	if strings.HasSuffix(b.Dockerfile, "broken") {
		return spec.Image{}, fmt.Errorf("failed to solve: process \"/bin/sh -c exit 7\" did not complete successfully: exit code: 7")
	}
	if progress != nil {
		progress(spec.Progress{ID: b.Name + " 1/1", Text: "RUN true", Done: true})
		progress(spec.Progress{ID: b.Name + " 1/1", Text: "hello", Output: true})
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %v %d", b.Context, b.DockerfileInline, b.Args, f.sources[b.Context]))
	image := spec.Image{Digest: "sha256:" + hex.EncodeToString(sum[:]), Names: append([]string{b.Name}, b.Tags...), CreatedAt: f.nowLocked(),
		Config: spec.ImageConfig{Cmd: shell()}}
	for _, name := range image.Names {
		f.images[name] = image
	}
	return image, nil
}

// RemoveImage removes a reference, and refuses while a container names the
// image.
func (f *Fake) RemoveImage(ctx context.Context, reference string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	image, ok := f.images[reference]
	if !ok {
		return nil
	}
	for _, c := range f.containers {
		if c.Blueprint.ImageDigest == image.Digest {
			return spec.Errorf(spec.ErrInUse, "cannot remove image %s: container %s uses it", reference, c.Blueprint.Name)
		}
	}
	if err := f.beginLocked(ctx, "remove image", reference); err != nil {
		return err
	}
	delete(f.images, reference)
	return nil
}

// ImageNames returns all local references, sorted.
func (f *Fake) ImageNames() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for name := range f.images {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
