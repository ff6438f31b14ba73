package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// StatFile describes a file of a container, whether that runs or not.
func (e *Engine) StatFile(_ context.Context, id, name string) (out spec.FileInfo, err error) {
	err = e.inTree(id, name, false, func(root *tree.Root, name string) error {
		st, err := root.Lstat(name)
		if err != nil {
			return err
		}
		out = spec.FileInfo{Name: path.Base(path.Clean("/" + name)), Mode: st.Mode, Size: st.Size}
		target, err := root.Stat(name)
		out.Directory = err == nil && target.Mode&unix.S_IFMT == unix.S_IFDIR
		return nil
	})
	return out, err
}

// PackFiles writes what is at name in a container as a tar stream, see
// tree.Root.Tar; follow takes in what a link leads to. Nothing has been written
// when it fails with spec.ErrNotFound.
func (e *Engine) PackFiles(ctx context.Context, id, name string, follow bool, to io.Writer) error {
	return e.inTree(id, name, false, func(root *tree.Root, name string) error {
		return root.Tar(ctx, to, name, tree.TarOptions{Follow: follow, Top: path.Base(path.Clean("/" + name))})
	})
}

// UnpackFiles unpacks a tar stream into a folder of a container, see
// tree.UntarOptions.Plain. A root that the service has read-only is refused.
func (e *Engine) UnpackFiles(ctx context.Context, id, folder string, from io.Reader) error {
	return e.inTree(id, folder, true, func(root *tree.Root, name string) error {
		dir, err := root.Sub(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		_, err = tree.Untar(ctx, dir.FD(), from, tree.UntarOptions{Plain: true})
		return err
	})
}

// ExportContainer writes the root file system of a container as a tar stream,
// without what is mounted in it.
func (e *Engine) ExportContainer(ctx context.Context, id string, to io.Writer) error {
	return e.inTree(id, "/", false, func(root *tree.Root, _ string) error {
		return root.Tar(ctx, to, "/", tree.TarOptions{Top: ".", OneMount: true, Change: func(h *tar.Header) {
			h.Name = strings.TrimPrefix(h.Name, "/")
		}})
	})
}

// inTree has f work on a file of a container: on the files as the container sees
// them while it runs, else on its root or the volume that the file lies in,
// while it cannot be started.
func (e *Engine) inTree(id, name string, write bool, f func(root *tree.Root, name string) error) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	l.turn.Lock()
	unlock := sync.OnceFunc(l.turn.Unlock)
	defer unlock()
	if _, _, removed := l.look(); removed {
		return spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	}
	m := covering(e.idleMounts(l), name)
	if write && (m == nil && l.rec.Blueprint.ReadOnlyRoot || m != nil && m.ReadOnly) {
		return spec.Errorf(spec.ErrInvalid, "cannot write %s in %s: it is marked read-only", name, l.name())
	}
	ns, err := l.mountNamespace()
	if err != nil {
		return err
	}
	if ns != nil {
		defer ns.Close()
		unlock()
		err = container.InMountNamespace(ns, false, func(root *tree.Root) error { return f(root, name) })
		return e.fileError(l, name, err)
	}
	inside := name
	if m != nil {
		if m.Type != spec.MountVolume {
			return spec.Errorf(spec.ErrNotRunning, "cannot reach %s in %s: it lies in the mount on %s, and the container is not running", name, l.name(), m.Target)
		}
		inside = strings.TrimPrefix(path.Clean("/"+name), path.Clean(m.Target))
	}
	top, err := e.idleTree(l, m)
	if err != nil {
		return err
	}
	defer top.Close()
	root, err := tree.FromFD(int(top.Fd()))
	if err != nil {
		return err
	}
	defer root.Close()
	return e.fileError(l, name, f(root, inside))
}

// fileError names a file that is not there as dockerd does.
func (e *Engine) fileError(l *life, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return spec.Errorf(spec.ErrNotFound, "Could not find the file %s in container %s", name, l.name())
	}
	if err != nil {
		return fmt.Errorf("container %s: %w", l.name(), err)
	}
	return nil
}
