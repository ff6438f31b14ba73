package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// Image finds a local image by reference, digest or id.
func (e *Engine) Image(_ context.Context, reference string) (spec.Image, error) {
	r, name, err := e.images.Find(reference)
	if err != nil {
		return spec.Image{}, missingImage(reference, err)
	}
	found, err := e.imageOf(r)
	found.PulledAt = name.Pulled
	return found, err
}

// Images lists all local images.
func (e *Engine) Images(context.Context) ([]spec.Image, error) {
	all, err := e.images.List()
	out := make([]spec.Image, 0, len(all))
	for _, l := range all {
		out = append(out, answer(l))
	}
	if store.Aside(err) {
		err = nil // `info` names them; the rest goes on
	}
	return out, err
}

func (e *Engine) imageOf(r image.Record) (spec.Image, error) {
	all, err := e.images.List()
	for _, l := range all {
		if l.Record.Digest == r.Digest {
			return answer(l), nil
		}
	}
	if err == nil { // removed this moment
		err = spec.Errorf(spec.ErrImageMissing, "No such image: %s", r.Digest)
	}
	return spec.Image{}, err
}

func answer(l image.Listed) spec.Image {
	r := l.Record
	system, architecture, _ := strings.Cut(r.Platform, "/")
	out := spec.Image{Digest: r.Digest, CreatedAt: r.Created, Size: r.Size, OS: system, Architecture: architecture,
		Config: configOf(&r), Extra: map[string]string{"configDigest": r.ConfigDigest}}
	for _, n := range l.Names {
		out.Names = append(out.Names, image.Familiar(n.Reference))
		if n.RepoDigest != "" {
			out.Extra["repoDigest"] = n.RepoDigest
		}
	}
	return out
}

// configOf is the part of an image's configuration that a start uses.
func configOf(r *image.Record) spec.ImageConfig {
	c := r.Config.Config
	out := spec.ImageConfig{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
		StopSignal: c.StopSignal, Labels: c.Labels,
		ExposedPorts: slices.Sorted(maps.Keys(c.ExposedPorts)), Volumes: slices.Sorted(slices.Values(r.Volumes())),
	}
	if h := c.Healthcheck; h != nil {
		out.Health = &spec.Health{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout,
			StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	}
	return out
}

// layers are the image's layer folders, topmost first, as overlay wants them.
func (e *Engine) layers(digest string) ([]string, error) {
	r, err := e.images.Record(digest)
	if err != nil {
		return nil, missingImage(digest, err)
	}
	return r.LowerDirs(e.place.State), nil
}

// PushImage sends an image to the registry of its name.
func (e *Engine) PushImage(ctx context.Context, p spec.Push, progress func(spec.Progress)) error {
	r, _, err := e.images.Find(p.Reference)
	if err != nil {
		return missingImage(p.Reference, err)
	}
	request := image.PushRequest{Reference: p.Reference, Digest: r.Digest, Registries: registries(p.Registries)}
	return builderError(e.builder.use(ctx, e, p.Registries.Proxy, func(c *image.Client) error {
		return c.Push(ctx, request, progressOf(progress))
	}))
}

// PullImage brings an image here, as the policy says.
func (e *Engine) PullImage(ctx context.Context, p spec.Pull, progress func(spec.Progress)) (spec.Image, error) {
	if p.Policy != spec.PullAlways {
		found, err := e.Image(ctx, p.Reference)
		if err == nil || p.Policy == spec.PullNever || !errors.Is(err, spec.ErrImageMissing) {
			return found, err
		}
	}
	request := image.PullRequest{Reference: p.Reference, Platform: p.Platform, Registries: registries(p.Registries)}
	var result image.Result
	err := e.builder.use(ctx, e, p.Registries.Proxy, func(c *image.Client) (err error) {
		result, err = c.Pull(ctx, request, progressOf(progress))
		return err
	})
	if err != nil {
		return spec.Image{}, builderError(err)
	}
	if err := e.settleLayers(result); err != nil {
		return spec.Image{}, err
	}
	return e.keepImage(ctx, result)
}

// BuildImage builds an image from a Dockerfile.
func (e *Engine) BuildImage(ctx context.Context, b spec.Build, progress func(spec.Progress)) (spec.Image, error) {
	request := image.BuildRequest{
		Context: b.Context, Dockerfile: b.Dockerfile, Inline: b.DockerfileInline, Args: b.Args, Target: b.Target,
		Labels: b.Labels, Platform: b.Platform, NoCache: b.NoCache, Pull: b.Pull, Network: b.Network,
		Registries: registries(b.Registries), ExtraHosts: map[string]string{},
		AdditionalContexts: b.Contexts, NoCacheFilter: b.NoCacheFilter, ShmSize: b.ShmSize, SSH: b.SSH, Ulimits: b.Ulimits,
		CacheFrom: b.CacheFrom, CacheTo: b.CacheTo,
	}
	for _, name := range append([]string{b.Name}, b.Tags...) {
		if name != "" {
			request.Tags = append(request.Tags, name)
		}
	}
	for _, h := range b.ExtraHosts {
		if h.IP == hostGateway {
			gateway, err := e.buildGateway(b.Network)
			if err != nil {
				return spec.Image{}, fmt.Errorf("cannot find the address of %s: %w", hostGateway, err)
			}
			h.IP = gateway
		}
		request.ExtraHosts[h.Name] = h.IP
	}
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		content, err := e.store.Content(b.Secrets[id])
		if err != nil {
			return spec.Image{}, fmt.Errorf("cannot read build secret %s: %w", id, err)
		}
		request.Secrets = append(request.Secrets, image.Secret{ID: id, Content: content})
	}
	var result image.Result
	err := e.builder.use(ctx, e, b.Registries.Proxy, func(c *image.Client) (err error) {
		result, err = c.Build(ctx, request, progressOf(progress))
		return err
	})
	if err != nil {
		return spec.Image{}, builderError(err)
	}
	return e.keepImage(ctx, result)
}

// ImportImage takes in a root file system as an image; tar is read from its
// position.
func (e *Engine) ImportImage(ctx context.Context, reference, platform string, tar *os.File, progress func(spec.Progress)) (spec.Image, error) {
	request := image.ImportRequest{Reference: reference, Platform: platform}
	var result image.Result
	err := e.builder.use(ctx, e, nil, func(c *image.Client) (err error) {
		result, err = c.Import(ctx, request, tar, progressOf(progress))
		return err
	})
	if err != nil {
		return spec.Image{}, builderError(err)
	}
	if err := e.settleLayers(result); err != nil {
		return spec.Image{}, err
	}
	return e.keepImage(ctx, result)
}

// LoadImages takes in the images of a docker or OCI archive.
func (e *Engine) LoadImages(ctx context.Context, platform string, archive *os.File, progress func(spec.Progress)) ([]spec.Image, error) {
	var result image.LoadResult
	err := e.builder.use(ctx, e, nil, func(c *image.Client) (err error) {
		result, err = c.Load(ctx, image.LoadRequest{Platform: platform}, archive, progressOf(progress))
		return err
	})
	if err != nil {
		return nil, builderError(err)
	}
	if err := e.settleLayers(result.Images...); err != nil {
		return nil, err
	}
	var out []spec.Image
	for _, r := range result.Images {
		kept, err := e.keepImage(ctx, r)
		if err != nil {
			return out, err
		}
		kept.Names = nil // those of the archive, not all that it has here
		for _, n := range r.Names {
			kept.Names = append(kept.Names, image.Familiar(n.Reference))
		}
		out = append(out, kept)
	}
	return out, nil
}

// settleLayers makes the layers of images that came from elsewhere durable
// before records name them: after a power failure a record that is there is
// believed. What is here already costs nothing.
func (e *Engine) settleLayers(results ...image.Result) error {
	for _, r := range results {
		old, err := e.images.Record(r.Record.Digest)
		if err != nil || !slices.Equal(old.Layers, r.Record.Layers) {
			return e.store.Flush()
		}
	}
	return nil
}

func (e *Engine) keepImage(ctx context.Context, r image.Result) (spec.Image, error) {
	if err := e.images.Put(ctx, r.Record, r.Names...); err != nil {
		return spec.Image{}, err
	}
	return e.imageOf(r.Record)
}

// TagImage points a further name at an image.
func (e *Engine) TagImage(ctx context.Context, word, reference string) error {
	return missingImage(word, e.images.Tag(ctx, word, reference))
}

// RemoveImage takes a name away, and the image with its last; a missing one is
// success, one that a container names is spec.ErrInUse.
func (e *Engine) RemoveImage(ctx context.Context, reference string) error {
	removed, err := e.images.Remove(ctx, reference, false, e.imageUsers)
	switch {
	case errors.Is(err, image.ErrNotFound):
		return nil
	case errors.Is(err, image.ErrInUse):
		return spec.Errorf(spec.ErrInUse, "%v", err)
	case err != nil || removed.Deleted == "":
		return err
	}
	// Its layers go when a builder next hears which records there are; one
	// that runs hears it now.
	return e.builder.release(ctx, removed.Deleted)
}

// imageUsers names the containers that stand on a record.
func (e *Engine) imageUsers(digest string) ([]string, error) {
	var users []string
	for _, l := range e.all() {
		if l.rec.ImageDigest == digest {
			users = append(users, l.name())
		}
	}
	return users, nil
}

func registries(r spec.Registries) image.Registries {
	out := image.Registries{Mirrors: r.Mirrors, Insecure: r.Insecure, AuthFile: r.AuthFile, Auth: map[string]image.Credentials{}}
	for host, encoded := range r.Auth {
		plain, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			plain = []byte(encoded)
		}
		user, secret, _ := strings.Cut(string(plain), ":")
		out.Auth[host] = image.Credentials{User: user, Secret: secret}
	}
	return out
}

// builderError gives the builder's errors their sentinels.
func builderError(err error) error {
	switch codeOf(err) {
	case image.CodeNotFound:
		return spec.Errorf(spec.ErrImageMissing, "%v", err)
	case image.CodeLogin:
		return spec.Errorf(spec.ErrUnauthorized, "%v", err)
	case image.CodeFull:
		return spec.Errorf(spec.ErrNoSpace, "%v", err)
	}
	return err
}

// progressOf turns the builder's events into progress. Output is told by line.
func progressOf(progress func(spec.Progress)) func(image.Event) {
	if progress == nil {
		return nil
	}
	names := map[string]string{}
	rest := map[string]string{} // of a line whose end has not come, by vertex
	return func(v image.Event) {
		if v.Name != "" {
			names[v.Vertex] = v.Name
		}
		p := spec.Progress{ID: v.Vertex, Text: names[v.Vertex], Current: v.Current, Total: v.Total}
		if v.Action != "" {
			p.ID, p.Text = names[v.Vertex], v.Action
		}
		if len(v.Log) > 0 {
			lines := strings.Split(rest[v.Vertex]+string(v.Log), "\n")
			rest[v.Vertex] = lines[len(lines)-1]
			for _, line := range lines[:len(lines)-1] {
				progress(spec.Progress{ID: p.ID, Text: strings.TrimSuffix(line, "\r"), Output: true})
			}
			return
		}
		p.Done = v.Status == image.StatusDone || v.Status == image.StatusCached
		p.Cached = v.Status == image.StatusCached
		if p.Error = v.Status == image.StatusError; p.Error {
			p.Text = v.Error
		}
		if line := rest[v.Vertex]; line != "" && (p.Done || p.Error) {
			delete(rest, v.Vertex)
			progress(spec.Progress{ID: p.ID, Text: line, Output: true})
		}
		progress(p)
	}
}
