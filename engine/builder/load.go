package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// load takes in every image of an archive: docker save's form or an OCI
// layout in a tar.
func (b *Builder) load(ctx context.Context, r image.LoadRequest, file *os.File, job *job) (image.LoadResult, error) {
	ctx, done, err := b.store.withTemporary(ctx)
	if err != nil {
		return image.LoadResult{}, err
	}
	defer done()
	out, err := b.loadLeased(ctx, r, file, job)
	if err != nil {
		if isFull(err) {
			return image.LoadResult{}, fmt.Errorf("cannot load images: %w", err)
		}
		return image.LoadResult{}, fmt.Errorf("%w: is it an archive of image save or docker save, and whole?", classify(err))
	}
	return out, nil
}

func (b *Builder) loadLeased(ctx context.Context, r image.LoadRequest, file *os.File, job *job) (image.LoadResult, error) {
	index, err := b.readArchive(ctx, file)
	if err != nil {
		return image.LoadResult{}, err
	}
	want, err := parsePlatform(r.Platform)
	if err != nil {
		return image.LoadResult{}, err
	}
	var out loaded
	for _, group := range groupByName(index.Manifests) {
		result, err := b.loadOne(ctx, group, want, r.Platform, job)
		if err != nil {
			return image.LoadResult{}, err
		}
		out.add(result)
	}
	if len(out.list) == 0 {
		return image.LoadResult{}, errors.New("there is no image in it")
	}
	return image.LoadResult{Images: out.list}, nil
}

// readArchive stores the blobs of the archive and returns its index.
func (b *Builder) readArchive(ctx context.Context, file *os.File) (*ocispec.Index, error) {
	outer, err := unwrap(file)
	if err != nil {
		return nil, err
	}
	stream, _, err := decompress(outer)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	desc, err := archive.ImportIndex(ctx, b.store.content(), stream)
	if err != nil {
		return nil, err
	}
	raw, err := storedBlobs(b.store.content())(ctx, desc, maxManifest)
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("bad index: %w", err)
	}
	return &index, nil
}

// named are the entries of an archive's index that carry one name.
type named struct {
	name    string // normalized, or ""
	entries []ocispec.Descriptor
}

func (b *Builder) loadOne(ctx context.Context, group named, want ocispec.Platform, platform string, job *job) (image.Result, error) {
	desc := group.entries[0]
	if len(group.entries) > 1 {
		var err error
		if desc, err = choose(&ocispec.Index{Manifests: group.entries}, want); err != nil {
			return image.Result{}, err
		}
	}
	m, err := readManifest(ctx, storedBlobs(b.store.content()), desc, platform)
	if err != nil {
		return image.Result{}, err
	}
	record, err := b.settle(ctx, m, nil, job)
	if err != nil {
		return image.Result{}, err
	}
	result := image.Result{Record: record}
	if group.name != "" {
		result.Names = []image.Name{{Reference: group.name, Digest: record.Digest}}
	}
	return result, nil
}

// groupByName puts the platforms of one image together, in the archive's order.
func groupByName(entries []ocispec.Descriptor) []named {
	var groups []named
	for _, e := range entries {
		name := archiveName(e)
		i := slices.IndexFunc(groups, func(g named) bool { return g.name == name && (name != "" || e.Platform != nil) })
		if i < 0 {
			groups = append(groups, named{name: name})
			i = len(groups) - 1
		}
		groups[i].entries = append(groups[i].entries, e)
	}
	return groups
}

// archiveName reads the name annotations: containerd's and docker's holds a
// full name, the one of OCI often no more than a tag, which names nothing.
func archiveName(e ocispec.Descriptor) string {
	name := e.Annotations[images.AnnotationImageName]
	if name == "" {
		if name = e.Annotations[ocispec.AnnotationRefName]; !strings.ContainsAny(name, ":/") {
			return ""
		}
	}
	full, err := image.Normalize(name)
	if err != nil {
		return ""
	}
	return full
}

// loaded collects results; one image with two names is one result.
type loaded struct{ list []image.Result }

func (l *loaded) add(r image.Result) {
	for i := range l.list {
		if l.list[i].Record.Digest == r.Record.Digest {
			l.list[i].Names = append(l.list[i].Names, r.Names...)
			return
		}
	}
	l.list = append(l.list, r)
}
