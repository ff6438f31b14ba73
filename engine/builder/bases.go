package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	godigest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// bases finds the images of FROM and COPY --from.
type bases interface {
	// ensure sees to it that the image is here, by pulling it if need be.
	ensure(ctx context.Context, reference string) error
	// lookUp returns the manifest digest behind a normalized name, "" if the
	// image is not here.
	lookUp(ctx context.Context, name string) (string, error)
}

// basesFirst is the Dockerfile frontend, which asks for the configuration of
// each base image: that is when the image is brought here by our own puller,
// so that BuildKit finds it in the local store and never unpacks one itself.
type basesFirst struct {
	frontend.Frontend
	bases bases
}

// Solve implements frontend.Frontend.
func (f *basesFirst) Solve(ctx context.Context, bridge frontend.FrontendLLBBridge, exec executor.Executor, opts map[string]string, inputs map[string]*pb.Definition, sid string, sm *session.Manager) (*frontend.Result, error) {
	return f.Frontend.Solve(ctx, &basesBridge{bridge, f.bases}, exec, opts, inputs, sid, sm)
}

type basesBridge struct {
	frontend.FrontendLLBBridge
	bases bases
}

// ResolveSourceMetadata implements sourceresolver.MetaResolver.
func (b *basesBridge) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if ref, ok := strings.CutPrefix(op.Identifier, "docker-image://"); ok {
		if err := checkOurs(opt); err != nil {
			return nil, fmt.Errorf("image %s: %w", ref, err)
		}
		if err := b.bases.ensure(ctx, ref); err != nil {
			return nil, err
		}
	}
	return b.FrontendLLBBridge.ResolveSourceMetadata(ctx, op, opt)
}

// checkOurs refuses FROM --platform of another machine: names mean one image
// here, that of our platform.
func checkOurs(opt sourceresolver.Opt) error {
	ours := platforms.Normalize(platforms.DefaultSpec())
	if opt.ImageOpt == nil || opt.ImageOpt.Platform == nil || platforms.Only(ours).Match(*opt.ImageOpt.Platform) {
		return nil
	}
	return withCode(image.CodePlatform, fmt.Errorf("not built yet: an image for %s: this machine builds for %s",
		platforms.Format(*opt.ImageOpt.Platform), platforms.Format(ours)))
}

// buildKey is the context key of the build in hand.
type buildKey struct{}

// ensure implements bases for the build in ctx.
func (b *Builder) ensure(ctx context.Context, reference string) error {
	build, ok := ctx.Value(buildKey{}).(*building)
	if !ok {
		return errors.New("no build in context")
	}
	name, err := image.Normalize(reference)
	if err != nil {
		return err
	}
	ctx = inNamespace(ctx)
	if !build.request.Pull || build.here[name] {
		here, err := b.isHere(ctx, name, build.request.Platform)
		if here || err != nil {
			return err
		}
	}
	result, err := b.pull(ctx, image.PullRequest{
		Reference: name, Platform: build.request.Platform, Registries: build.request.Registries,
	}, build.job)
	if err != nil {
		return err
	}
	return build.server.keep(ctx, result)
}

// isHere says whether the name means an image that is complete and fits.
func (b *Builder) isHere(ctx context.Context, name, platform string) (bool, error) {
	digest, err := b.lookUp(ctx, name)
	if digest == "" || err != nil {
		return false, err
	}
	desc, err := b.store.manifestDescriptor(ctx, digest)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = readManifest(ctx, storedBlobs(b.store.content()), desc, platform)
	if code := (*coded)(nil); errors.As(err, &code) && code.code == image.CodePlatform || errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// lookUp implements bases: the daemon knows the names.
func (b *Builder) lookUp(ctx context.Context, name string) (string, error) {
	s := b.host.Load()
	if s == nil {
		return "", nil
	}
	digest, err := s.resolve(ctx, name)
	if err != nil {
		return "", fmt.Errorf("cannot look up image %s: %w", image.Familiar(name), err)
	}
	return digest, nil
}

// manifestDescriptor describes a manifest in the store.
func (s *Store) manifestDescriptor(ctx context.Context, digest string) (ocispec.Descriptor, error) {
	if err := image.CheckDigest(digest); err != nil {
		return ocispec.Descriptor{}, err
	}
	info, err := s.content().Info(ctx, godigest.Digest(digest))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{Digest: info.Digest, Size: info.Size, MediaType: ocispec.MediaTypeImageManifest}
	raw, err := storedBlobs(s.content())(ctx, desc, maxManifest)
	if err != nil {
		return desc, err
	}
	if mediaType := mediaTypeOf(raw); mediaType != "" {
		desc.MediaType = mediaType
	}
	return desc, nil
}

// localImages is BuildKit's view of the images that are here. It is read only:
// names belong to the daemon.
type localImages struct {
	store *Store
	bases bases
}

var _ images.Store = (*localImages)(nil)

// Get implements images.Store; name has a tag and never a digest.
func (l *localImages) Get(ctx context.Context, name string) (images.Image, error) {
	digest, err := l.bases.lookUp(ctx, name)
	if err != nil {
		return images.Image{}, err
	}
	if digest == "" {
		return images.Image{}, fmt.Errorf("image %s: %w", name, errdefs.ErrNotFound)
	}
	desc, err := l.store.manifestDescriptor(inNamespace(ctx), digest)
	if err != nil {
		return images.Image{}, err
	}
	return images.Image{Name: name, Target: desc}, nil
}

// List implements images.Store; the cache's check whether an image still
// refers to a record asks for it, but our leases answer that already.
func (l *localImages) List(context.Context, ...string) ([]images.Image, error) { return nil, nil }

// Create implements images.Store.
func (l *localImages) Create(context.Context, images.Image) (images.Image, error) {
	return images.Image{}, errdefs.ErrNotImplemented
}

// Update implements images.Store.
func (l *localImages) Update(context.Context, images.Image, ...string) (images.Image, error) {
	return images.Image{}, errdefs.ErrNotImplemented
}

// Delete implements images.Store.
func (l *localImages) Delete(context.Context, string, ...images.DeleteOpt) error {
	return errdefs.ErrNotImplemented
}
