package builder

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/mycompose/mycompose/engine/image"
)

// pull asks the registry what the reference means now and brings its image
// here. Layers that are here are not fetched.
func (b *Builder) pull(ctx context.Context, r image.PullRequest, job *job) (image.Result, error) {
	name, err := image.Normalize(r.Reference)
	if err != nil {
		return image.Result{}, err
	}
	// Two pulls of one image at once are one pull and one look.
	unlock, err := b.blobs.lock(ctx, "pull "+name+" "+r.Platform)
	if err != nil {
		return image.Result{}, err
	}
	defer unlock()
	ctx, done, err := b.store.withTemporary(ctx)
	if err != nil {
		return image.Result{}, err
	}
	defer done()
	result, err := b.pullLeased(ctx, name, r, job)
	if err != nil {
		return image.Result{}, fmt.Errorf("cannot pull %s: %w", image.Familiar(name), classify(err))
	}
	return result, nil
}

func (b *Builder) pullLeased(ctx context.Context, name string, r image.PullRequest, job *job) (image.Result, error) {
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: registryHosts(r.Registries)})
	full, desc, err := resolver.Resolve(ctx, name)
	if err != nil {
		return image.Result{}, err
	}
	fetcher, err := resolver.Fetcher(ctx, full)
	if err != nil {
		return image.Result{}, err
	}
	m, err := readManifest(ctx, b.store.fetchedBlobs(fetcher), desc, r.Platform)
	if err != nil {
		return image.Result{}, err
	}
	record, err := b.settle(ctx, m, fetcher, job)
	if err != nil {
		return image.Result{}, err
	}
	return image.Result{
		Record: record,
		Names: []image.Name{{
			Reference:  name,
			Digest:     record.Digest,
			RepoDigest: string(desc.Digest),
			Pulled:     time.Now().UTC().Truncate(time.Second),
		}},
	}, nil
}

// settle brings the layers of m into their folders and holds the image.
func (b *Builder) settle(ctx context.Context, m *manifestOf, source layerSource, job *job) (image.Record, error) {
	if err := b.ensureLayers(ctx, m, source, job); err != nil {
		return image.Record{}, err
	}
	top := ""
	if chains := chainIDs(m.Config.RootFS.DiffIDs); len(chains) > 0 {
		top = chains[len(chains)-1]
	}
	return b.store.finish(ctx, m, top)
}
