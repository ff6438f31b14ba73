package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// source asks BuildKit what stands behind a mount and keeps it until undo.
func (s *step) source(ctx context.Context, m executor.Mount, readonly bool) ([]mount.Mount, error) {
	ref, err := m.Src.Mount(ctx, readonly)
	if err != nil {
		return nil, err
	}
	mounts, release, err := ref.Mount()
	if err != nil {
		return nil, err
	}
	if release != nil {
		s.later(func(context.Context) error { return release() })
	}
	return mounts, nil
}

// root makes the root of the step as a detached mount.
func (s *step) root(ctx context.Context, m executor.Mount) (*os.File, error) {
	mounts, err := s.source(ctx, m, false)
	if err != nil {
		return nil, err
	}
	if len(mounts) != 1 {
		return nil, fmt.Errorf("it has %d mounts", len(mounts))
	}
	file, err := s.detached(mounts[0], m.Selector, false)
	return file, err
}

// mounts makes the step's mounts: binds, caches, secrets, tmpfs.
func (s *step) mounts(ctx context.Context, all []executor.Mount) ([]container.Mount, error) {
	var out []container.Mount
	for _, m := range all {
		made, err := s.mount(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("cannot mount %s: %w", m.Dest, err)
		}
		out = append(out, made)
	}
	return out, nil
}

func (s *step) mount(ctx context.Context, m executor.Mount) (container.Mount, error) {
	out := container.Mount{Target: path.Join("/", m.Dest), ReadOnly: m.Readonly}
	mounts, err := s.source(ctx, m, m.Readonly)
	if err != nil {
		return out, err
	}
	if len(mounts) != 1 {
		return out, fmt.Errorf("it has %d mounts", len(mounts))
	}
	if mounts[0].Type == "tmpfs" {
		out.Tmpfs, out.TmpfsOpt = true, mounts[0].Options
		return out, nil
	}
	out.Tree, err = s.detached(mounts[0], m.Selector, m.Readonly)
	return out, err
}

// detached opens a mount that stands nowhere, or the part of it below selector.
func (s *step) detached(m mount.Mount, selector string, readonly bool) (*os.File, error) {
	selector = strings.TrimPrefix(path.Join("/", selector), "/")
	var file *os.File
	var err error
	switch m.Type {
	case "bind", "rbind":
		file, err = rootfs.Bind(rootfs.Source{
			Path: m.Source, Subpath: selector, ReadOnly: readonly || slices.Contains(m.Options, "ro"),
			NonRecursive: !slices.Contains(m.Options, "rbind"),
		})
	case "overlay":
		if selector != "" {
			return s.partOf(m, selector, readonly)
		}
		var o rootfs.Overlay
		if o, err = overlayOf(m.Options); err == nil {
			file, err = rootfs.Mount(o)
		}
	default:
		err = fmt.Errorf("mounts of type %s are not supported", m.Type)
	}
	if err != nil {
		return nil, err
	}
	s.closeLater(file)
	return file, nil
}

// partOf mounts m for a moment in the builder's own mount namespace: kernels
// before 6.15 cannot clone a part of a mount that is attached nowhere.
func (s *step) partOf(m mount.Mount, selector string, readonly bool) (*os.File, error) {
	mounter := snapshot.LocalMounterWithMounts([]mount.Mount{m})
	dir, err := mounter.Mount()
	if err != nil {
		return nil, err
	}
	file, err := rootfs.Bind(rootfs.Source{Path: dir, Subpath: selector, ReadOnly: readonly})
	if err := errors.Join(err, mounter.Unmount()); err != nil {
		return nil, err
	}
	s.closeLater(file)
	return file, nil
}

// overlayOf reads overlay's mount options. Folders of ours have no colon.
func overlayOf(options []string) (rootfs.Overlay, error) {
	var o rootfs.Overlay
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "lowerdir":
			o.Layers = strings.Split(value, ":")
		case "upperdir":
			o.Upper = value
		case "workdir":
			o.Work = value
		case "index", "ro", "rw", "volatile":
		default:
			return o, fmt.Errorf("overlay option %q is not supported", option)
		}
	}
	if len(o.Layers) == 0 {
		return o, errors.New("overlay without layers")
	}
	return o, nil
}

// network gets the step's network namespace, nil for the host's, and makes
// /etc/hosts and /etc/resolv.conf.
func (s *step) network(ctx context.Context, meta executor.Meta) ([]container.Mount, *os.File, error) {
	var sandbox image.Sandbox
	var namespace *os.File
	if meta.NetMode == pb.NetMode_HOST {
		// A host without one gets an empty file, as with any container.
		content, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, fmt.Errorf("cannot read the host's resolv.conf: %w", err)
		}
		sandbox.ResolvConf = string(content)
	} else {
		if s.server == nil {
			return nil, nil, errors.New("cannot get a network for the step: there is no daemon")
		}
		var err error
		sandbox, namespace, err = s.server.openSandbox(ctx, image.SandboxRequest{ID: s.id, Network: networkOf(meta)})
		if err != nil {
			return nil, nil, err
		}
		s.later(func(ctx context.Context) error {
			namespace.Close()
			// Without a connection the daemon has closed it already.
			_ = s.server.closeSandbox(ctx, s.id)
			return nil
		})
	}
	var extra []spec.ExtraHost
	for _, h := range meta.ExtraHosts {
		extra = append(extra, spec.ExtraHost{Name: h.Host, IP: h.IP.String()})
	}
	hosts := append(container.Hosts(nil, extra), sandbox.Hosts...)
	return []container.Mount{
		{Target: "/etc/hosts", Content: hosts, Owner: tree.Owner{Mode: 0o644}},
		{Target: "/etc/resolv.conf", Content: []byte(sandbox.ResolvConf), Owner: tree.Owner{Mode: 0o644}},
	}, namespace, nil
}

// networkOf is what the build's request or its RUN --network says.
func networkOf(meta executor.Meta) string {
	if meta.NetMode == pb.NetMode_NONE {
		return "none"
	}
	name, _ := strings.CutPrefix(meta.CgroupParent, networkPrefix)
	return name
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
