package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// InspectImage tells all about an image, found as Image finds it.
func (e *Engine) InspectImage(_ context.Context, word string) (spec.ImageDetails, error) {
	l, err := e.listed(word)
	if err != nil {
		return spec.ImageDetails{}, err
	}
	out := spec.ImageDetails{Image: answer(l), ID: l.Record.ConfigDigest}
	for _, n := range l.Names {
		repository, err := image.Repository(n.Reference)
		if err != nil || n.RepoDigest == "" {
			continue
		}
		if known := image.Familiar(repository + "@" + n.RepoDigest); !slices.Contains(out.RepoDigests, known) {
			out.RepoDigests = append(out.RepoDigests, known)
		}
	}
	out.OCI, err = json.Marshal(l.Record.Config)
	return out, err
}

// listed is an image with its names.
func (e *Engine) listed(word string) (image.Listed, error) {
	r, _, err := e.images.Find(word)
	if err != nil {
		return image.Listed{}, missingImage(word, err)
	}
	all, err := e.images.List()
	if i := slices.IndexFunc(all, func(l image.Listed) bool { return l.Record.Digest == r.Digest }); i >= 0 {
		return all[i], nil
	}
	return image.Listed{Record: r}, err
}

// DeleteImage is RemoveImage for a person: an image that is not there is an error,
// force takes one with several names by its digest or id, and what went is told.
func (e *Engine) DeleteImage(ctx context.Context, word string, force bool) (spec.Deleted, error) {
	removed, err := e.images.Remove(ctx, word, force, e.imageUsers)
	switch {
	case errors.Is(err, image.ErrNotFound):
		return spec.Deleted{}, spec.Errorf(spec.ErrImageMissing, "No such image: %s", word)
	case errors.Is(err, image.ErrInUse):
		return spec.Deleted{}, spec.Errorf(spec.ErrInUse, "%v", err)
	}
	out := spec.Deleted{Digest: removed.Deleted}
	for _, reference := range removed.Untagged {
		out.Untagged = append(out.Untagged, image.Familiar(reference))
	}
	if err == nil && removed.Deleted != "" {
		err = e.builder.release(ctx, removed.Deleted)
	}
	return out, err
}

// PruneImages removes images that no container stands on. A prune of all, without
// a filter, takes the build cache too.
func (e *Engine) PruneImages(ctx context.Context, prune spec.Prune) (spec.Pruned, error) {
	var out spec.Pruned
	list, err := e.images.List()
	if err != nil && !store.Aside(err) {
		return out, err
	}
	withCache := prune.All && prune.Before.IsZero() && len(prune.Labels)+len(prune.Without) == 0 && e.hasBuildCache()
	if withCache { // so that what it does not share goes with the image
		if err := e.builder.use(ctx, e, nil, func(*image.Client) error { return nil }); err != nil {
			return out, builderError(err)
		}
	}
	kept := map[string]bool{} // layer folders
	var gone []image.Listed
	var errs []error
	for _, l := range list {
		users, err := e.imageUsers(l.Record.Digest)
		if err == nil && len(users) == 0 && prune.Takes(answer(l)) {
			_, err = e.images.Remove(ctx, l.Record.Digest, true, e.imageUsers)
			if err == nil {
				err = e.builder.release(ctx, l.Record.Digest)
				gone = append(gone, l)
			} else if errors.Is(err, image.ErrInUse) { // since we looked
				err = nil
			}
		}
		errs = append(errs, err)
	}
	for _, l := range list {
		if !slices.ContainsFunc(gone, func(g image.Listed) bool { return g.Record.Digest == l.Record.Digest }) {
			for _, layer := range l.Record.Layers {
				kept[layer.Folder] = true
			}
		}
	}
	for _, l := range gone {
		for _, n := range l.Names {
			out.Removed = append(out.Removed, image.Familiar(n.Reference))
		}
		if len(l.Names) == 0 {
			out.Removed = append(out.Removed, l.Record.Digest)
		}
		for _, layer := range l.Record.Layers {
			if kept[layer.Folder] || withCache && e.layerStands(layer) {
				continue // of another image, or it is counted with the cache
			}
			kept[layer.Folder] = true // count it once
			out.Bytes += layer.Size
		}
	}
	if withCache {
		freed, err := e.pruneCache(ctx)
		out.Bytes += freed
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// hasBuildCache reports whether something was ever built.
func (e *Engine) hasBuildCache() bool {
	_, err := os.Stat(filepath.Join(e.place.State, image.BuildCache))
	return err == nil
}

// layerStands reports whether a layer's folder is there.
func (e *Engine) layerStands(l image.Layer) bool {
	r := image.Record{Layers: []image.Layer{l}}
	_, err := os.Stat(r.LowerDirs(e.place.State)[0])
	return err == nil
}

// pruneCache throws away the build cache that no image needs. Bytes.
func (e *Engine) pruneCache(ctx context.Context) (freed int64, err error) {
	err = e.builder.use(ctx, e, nil, func(c *image.Client) (err error) {
		freed, err = c.Prune(ctx, image.PruneRequest{All: true})
		return err
	})
	return freed, builderError(err)
}

// SaveImages writes images as an archive that docker load and LoadImages
// read; a word that is no name gives its image without one.
func (e *Engine) SaveImages(ctx context.Context, words []string, to *os.File) error {
	var request image.SaveRequest
	for _, word := range words {
		r, name, err := e.images.Find(word)
		if err != nil {
			return fmt.Errorf("cannot save %s: %w", word, missingImage(word, err))
		}
		i := slices.IndexFunc(request.Images, func(s image.Saved) bool { return s.Digest == r.Digest })
		if i < 0 {
			request.Images = append(request.Images, image.Saved{Digest: r.Digest})
			i = len(request.Images) - 1
		}
		if name.Reference != "" {
			request.Images[i].Names = append(request.Images[i].Names, name.Reference)
		}
	}
	err := e.builder.use(ctx, e, nil, func(c *image.Client) error { return c.Save(ctx, request, to) })
	return builderError(err)
}
