package rootfs

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// Source is what stands behind a bind or a volume.
type Source struct {
	// Path is absolute; symbolic links in it are followed, once.
	Path string
	// Subpath, if set, is resolved below Path and cannot lead out of it.
	Subpath  string
	ReadOnly bool
	// Propagation as in mount(8): "" (rprivate), private, rprivate, slave,
	// rslave, shared, rshared.
	Propagation string
	// NonRecursive leaves out what is mounted below Path.
	NonRecursive bool
}

// Bind opens a clone of the source as a detached mount with its attributes
// set. It may be a folder or a file. Read-only covers what is mounted below
// wherever the kernel can do that.
func Bind(s Source) (*os.File, error) {
	if !filepath.IsAbs(s.Path) {
		return nil, fmt.Errorf("cannot open %s: the path of a bind must be absolute", s.Path)
	}
	fd, err := unix.Open(s.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", s.Path, err)
	}
	defer func() { unix.Close(fd) }()
	if s.Subpath != "" {
		sub, err := unix.Openat2(fd, s.Subpath, &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			return nil, fmt.Errorf("cannot open %s in %s: %w", s.Subpath, s.Path, err)
		}
		unix.Close(fd)
		fd = sub
	}
	attr, recursive, err := propagation(s.Propagation)
	if err != nil {
		return nil, err
	}
	if err := fault.Errno("mount:bind"); err != nil {
		return nil, fmt.Errorf("cannot clone mount of %s: %w", s.Path, err)
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if !s.NonRecursive {
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(fd, "", flags)
	if err != nil {
		return nil, fmt.Errorf("cannot clone mount of %s: %w", s.Path, err)
	}
	if err := setAttributes(tree, attr, recursive, s.ReadOnly); err != nil {
		unix.Close(tree)
		return nil, fmt.Errorf("cannot set mount attributes of %s: %w", s.Path, err)
	}
	return os.NewFile(uintptr(tree), s.Path), nil
}

func setAttributes(tree int, attr uint64, recursive, readOnly bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if err := unix.MountSetattr(tree, "", flags, &unix.MountAttr{Propagation: attr}); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	ro := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, ro) == nil {
		return nil
	}
	return unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, ro)
}

func propagation(name string) (attr uint64, recursive bool, err error) {
	switch name {
	case "", "rprivate":
		return unix.MS_PRIVATE, true, nil
	case "private":
		return unix.MS_PRIVATE, false, nil
	case "slave":
		return unix.MS_SLAVE, false, nil
	case "rslave":
		return unix.MS_SLAVE, true, nil
	case "shared":
		return unix.MS_SHARED, false, nil
	case "rshared":
		return unix.MS_SHARED, true, nil
	}
	return 0, false, fmt.Errorf("cannot use propagation %q: it must be one of private, rprivate, slave, rslave, shared, rshared", name)
}
