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

// pullLeased asks one host after the other, until one has given all of the
// image with the right content.
func (b *Builder) pullLeased(ctx context.Context, name string, r image.PullRequest, job *job) (image.Result, error) {
	registry, err := image.Registry(name)
	if err != nil {
		return image.Result{}, err
	}
	hosts, err := registryHosts(r.Registries, b.certs)(registry)
	if err != nil {
		return image.Result{}, err
	}
	var failures []failure
	for i := range hosts {
		result, err := b.pullFrom(ctx, name, hosts[i:], r, job)
		if err == nil || isFinal(ctx, err) {
			return result, err
		}
		failures = append(failures, explainHost(hosts[i], name, r.Registries, err))
	}
	return image.Result{}, failed(failures)
}

// pullFrom asks the first of the hosts what the name means, and it, or else
// the others, for the content.
func (b *Builder) pullFrom(ctx context.Context, name string, hosts []docker.RegistryHost, r image.PullRequest, job *job) (image.Result, error) {
	full, desc, err := docker.NewResolver(docker.ResolverOptions{Hosts: only(hosts[0])}).Resolve(ctx, name)
	if err != nil {
		return image.Result{}, err
	}
	fetcher, err := docker.NewResolver(docker.ResolverOptions{Hosts: only(hosts...)}).Fetcher(ctx, full)
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
