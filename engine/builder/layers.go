package builder

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/mycompose/mycompose/engine/tree"
)

// layerSource opens the blob of a layer that is not in the store yet; nil
// means that all of them are.
type layerSource = remotes.Fetcher

// unpacked is a layer in a folder of its own, not committed yet.
type unpacked struct {
	key     string // of the active snapshot
	folder  string
	parent  string   // the snapshot that it is bound to; "" before its commit
	implied []string // see tree.UntarResult
	// again: alone it cannot be unpacked, perhaps over the layers below.
	again error
}

// ensureLayers sees to it that every layer of m is in its folder. Layers are
// fetched and unpacked side by side, each into an empty folder, and committed
// in order on top of each other.
func (b *Builder) ensureLayers(ctx context.Context, m *manifestOf, source layerSource, job *job) error {
	chains := chainIDs(m.Config.RootFS.DiffIDs)
	group, groupCtx := errgroup.WithContext(ctx)
	ready := make([]chan *unpacked, len(chains))
	for i, chain := range chains {
		ready[i] = make(chan *unpacked, 1)
		if b.store.hasLayer(ctx, chain) {
			// Hold it, and its blob, for the time of this operation.
			if err := b.store.leaseLayer(ctx, chain); err != nil {
				return err
			}
			job.layer(m.Manifest.Layers[i], "Already exists", true)
			close(ready[i])
			continue
		}
		job.waiting(m.Manifest.Layers[i])
		group.Go(func() error {
			layer, err := b.unpackLayer(groupCtx, m.Manifest.Layers[i], m.Config.RootFS.DiffIDs[i], source, job)
			if err != nil {
				return fmt.Errorf("cannot unpack layer %s: %w", m.Manifest.Layers[i].Digest, err)
			}
			ready[i] <- layer
			close(ready[i])
			return nil
		})
	}
	group.Go(func() error { return b.commitLayers(groupCtx, m, chains, ready, job) })
	return group.Wait()
}

// commitLayers puts the layers on top of each other as they become ready.
func (b *Builder) commitLayers(ctx context.Context, m *manifestOf, chains []string, ready []chan *unpacked, job *job) error {
	parent := ""
	for i, chain := range chains {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case layer := <-ready[i]:
			if layer == nil { // was here before
				break
			}
			if err := b.commitLayer(ctx, m, i, layer, chain, parent, job); err != nil {
				return err
			}
			job.layer(m.Manifest.Layers[i], "Pull complete", true)
		}
		parent = chain
	}
	return nil
}

func chainIDs(diffIDs []digest.Digest) []string {
	ids := identity.ChainIDs(append([]digest.Digest(nil), diffIDs...))
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// unpackLayer fetches one layer, if needed, and unpacks it while it comes in.
func (b *Builder) unpackLayer(ctx context.Context, desc ocispec.Descriptor, diffID digest.Digest, source layerSource, job *job) (*unpacked, error) {
	if !isLayer(desc.MediaType) {
		return nil, fmt.Errorf("media type %q is no file system layer", desc.MediaType)
	}
	// Two images that share a layer fetch it once.
	unlock, err := b.blobs.lock(ctx, string(desc.Digest))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := b.unpacks.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer b.unpacks.Release(1)

	layer, err := b.store.prepare(ctx, "")
	if err != nil {
		return nil, err
	}
	layer.implied, err = b.fill(ctx, layer.folder, desc, diffID, source, job)
	if followsLinks(err) {
		layer.again = err
		return layer, nil
	}
	if err != nil {
		b.store.discard(ctx, layer)
		return nil, err
	}
	return layer, nil
}

// fill unpacks the blob into folder, from the store or, while it is being
// stored, from the registry.
func (b *Builder) fill(ctx context.Context, folder string, desc ocispec.Descriptor, diffID digest.Digest, source layerSource, job *job) ([]string, error) {
	stored, err := b.store.content().ReaderAt(ctx, desc)
	if err == nil {
		defer stored.Close()
		if err := b.store.leaseBlob(ctx, desc.Digest); err != nil {
			return nil, err
		}
		in := job.reading(desc, "Extracting", io.NewSectionReader(stored, 0, stored.Size()))
		return unpackAlone(ctx, folder, in, diffID)
	}
	if !errdefs.IsNotFound(err) || source == nil {
		return nil, err
	}
	writer, err := content.OpenWriter(ctx, b.store.content(),
		content.WithRef("layer-"+string(desc.Digest)), content.WithDescriptor(desc))
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	if err := writer.Truncate(0); err != nil { // a broken one was left over
		return nil, err
	}
	return b.fetchAndUnpack(ctx, folder, desc, diffID, source, writer, job)
}

// fetchAndUnpack runs the two halves: network to disk and pipe, pipe to folder.
// When the unpack fails the download still goes on, since a wrong digest is
// the better reason.
func (b *Builder) fetchAndUnpack(ctx context.Context, folder string, desc ocispec.Descriptor, diffID digest.Digest, source layerSource, writer content.Writer, job *job) ([]string, error) {
	body, err := source.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	// One byte more than announced is enough to see that it is too long.
	in := io.LimitReader(job.reading(desc, "Downloading", body), desc.Size+1)
	reader, pipe := io.Pipe()
	var implied []string
	var unpackErr error
	unpackDone := make(chan struct{})
	go func() {
		defer close(unpackDone)
		implied, unpackErr = unpackAlone(ctx, folder, reader, diffID)
		if unpackErr != nil {
			_, _ = io.Copy(io.Discard, reader)
		}
	}()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(writer, pipe)}, in, make([]byte, 256<<10))
	pipe.CloseWithError(err)
	<-unpackDone
	if err == nil {
		err = writer.Commit(ctx, desc.Size, desc.Digest)
	}
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	return implied, unpackErr
}

// unpackAlone unpacks a layer whose diff id is known into a folder of its own.
func unpackAlone(ctx context.Context, folder string, in io.Reader, diffID digest.Digest) ([]string, error) {
	root, err := tree.Open(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return unpackChecked(ctx, root, in, diffID, tree.UntarOptions{})
}

// unpackChecked is unpackStream for a layer whose diff id is known.
func unpackChecked(ctx context.Context, root *tree.Root, in io.Reader, diffID digest.Digest, o tree.UntarOptions) ([]string, error) {
	result, err := unpackStream(ctx, root, in, o)
	if err != nil {
		return nil, err
	}
	return result.implied, checkDiffID(result.diffID, diffID)
}

// streamed says what came out of a stream.
type streamed struct {
	diffID      digest.Digest
	compression string
	implied     []string
}

// unpackFolder is unpackStream into a folder.
func unpackFolder(ctx context.Context, folder string, in io.Reader) (streamed, error) {
	root, err := tree.Open(folder)
	if err != nil {
		return streamed{}, err
	}
	defer root.Close()
	return unpackStream(ctx, root, in, tree.UntarOptions{})
}

// unpackStream decompresses, hashes and unpacks in. It reads in to its end.
func unpackStream(ctx context.Context, root *tree.Root, in io.Reader, o tree.UntarOptions) (streamed, error) {
	stream, compression, err := decompress(in)
	if err != nil {
		return streamed{}, fmt.Errorf("cannot decompress: %w", err)
	}
	defer stream.Close()
	hashed := newHashReader(stream)
	result, err := tree.Untar(ctx, root.FD(), hashed, o)
	sum := hashed.digest()
	if err != nil {
		return streamed{}, err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return streamed{}, err
	}
	return streamed{diffID: sum, compression: compression, implied: result.Implied}, nil
}

// hasLayer says whether the layer folder of chain is committed.
func (s *Store) hasLayer(ctx context.Context, chain string) bool {
	info, err := s.snapshot.Stat(ctx, chain)
	return err == nil && info.Kind == snapshots.KindCommitted
}

// leaseLayer puts a committed layer into the lease of ctx.
func (s *Store) leaseLayer(ctx context.Context, chain string) error {
	return s.leaseResource(ctx, leases.Resource{ID: chain, Type: snapshotType})
}

func (s *Store) leaseBlob(ctx context.Context, blob digest.Digest) error {
	return s.leaseResource(ctx, leases.Resource{ID: string(blob), Type: "content"})
}

func (s *Store) leaseResource(ctx context.Context, r leases.Resource) error {
	id, ok := leases.FromContext(ctx)
	if !ok {
		return errors.New("no lease")
	}
	return s.leases().AddResource(ctx, leases.Lease{ID: id}, r)
}
