package builder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/tree"
)

// prepare makes an empty folder for a layer. Given a parent, the layer is bound
// to be committed on it, and can be mounted over it (see merged).
func (s *Store) prepare(ctx context.Context, parent string) (*unpacked, error) {
	key := "unpack-" + rand.Text()
	if _, err := s.snapshot.Prepare(ctx, key, parent); err != nil {
		return nil, fmt.Errorf("cannot make a layer folder: %w", err)
	}
	info, err := s.snapshot.Stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("cannot find the layer folder: %w", err)
	}
	return &unpacked{key: key, folder: info.Labels[folderLabel], parent: parent}, nil
}

// merged mounts the folder of a layer over its parent, detached: what is
// written to the mount is in the folder.
func (s *Store) merged(ctx context.Context, layer *unpacked) (*os.File, error) {
	mounts, err := s.snapshot.Mounts(ctx, layer.key)
	if err != nil {
		return nil, err
	}
	if len(mounts) != 1 || mounts[0].Type != "overlay" {
		return nil, fmt.Errorf("layer folder has mounts %v, want one overlay", mounts)
	}
	o, err := overlayOf(mounts[0].Options)
	if err != nil {
		return nil, err
	}
	return rootfs.Mount(o)
}

// discard throws an unpacked layer away; the folder goes with the next
// collection.
func (s *Store) discard(ctx context.Context, layer *unpacked) {
	_ = s.snapshot.Remove(context.WithoutCancel(ctx), layer.key)
}

// commit makes layer the committed snapshot chain on top of parent ("" for
// none). If somebody else was faster, his is taken.
func (s *Store) commit(ctx context.Context, layer *unpacked, chain, parent string) error {
	if len(layer.implied) > 0 && parent != layer.parent {
		below, err := s.folders(ctx, parent)
		if err != nil {
			return err
		}
		if err := settleImplied(layer, below); err != nil {
			return err
		}
	}
	opts := []snapshots.Opt{}
	if parent != layer.parent {
		opts = append(opts, snapshots.WithParent(parent))
	}
	err := s.snapshot.Commit(ctx, chain, layer.key, opts...)
	if errdefs.IsAlreadyExists(err) {
		s.discard(ctx, layer)
		return s.leaseLayer(ctx, chain)
	}
	if err != nil {
		return fmt.Errorf("cannot commit layer %s: %w", chain, err)
	}
	return nil
}

// errThroughLink: a layer's archive writes below a name that is a symbolic link
// in a lower layer, as bin is in most images.
var errThroughLink = errors.New("layer writes below a symbolic link of a lower layer")

// settleImplied gives directories that the layer's archive did not describe
// the looks of the directory below, as if it had been unpacked over it:
// otherwise an archive with "tmp/x" but no "tmp" would make /tmp 0755.
func settleImplied(layer *unpacked, below []image.Layer) error {
	mine, err := tree.Open(layer.folder)
	if err != nil {
		return err
	}
	defer mine.Close()
	for _, name := range layer.implied {
		for i := len(below) - 1; i >= 0; i-- {
			found, err := settleFrom(mine, below[i].Folder, name)
			if err != nil {
				return err
			}
			if found {
				break
			}
		}
	}
	return nil
}

// settleFrom looks for name in one lower folder. found ends the search, also
// when a whiteout or another file hides all directories below.
func settleFrom(mine *tree.Root, folder, name string) (found bool, err error) {
	lower, err := tree.Open(folder)
	if err != nil {
		return false, err
	}
	defer lower.Close()
	st, err := lower.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.ENOTDIR): // a part of it is no directory here, which hides what is below
		return true, nil
	case err != nil:
		return false, err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return false, fmt.Errorf("%w: %s", errThroughLink, name)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return true, nil
	}
	return true, tree.Like(lower, mine, name)
}

// folders returns the layer folders from the lowest to the snapshot top, with
// absolute paths.
func (s *Store) folders(ctx context.Context, top string) ([]image.Layer, error) {
	var out []image.Layer
	for name := top; name != ""; {
		info, err := s.snapshot.Stat(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("cannot find layer %s: %w", name, err)
		}
		usage, err := s.snapshot.Usage(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("cannot measure layer %s: %w", name, err)
		}
		out = append(out, image.Layer{Folder: info.Labels[folderLabel], Size: usage.Size})
		name = info.Parent
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, nil
}
