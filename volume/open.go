package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// Options say how a source is to be seen by a container.
type Options struct {
	ReadOnly bool
	// Propagation is "" or "rprivate", "private", "rslave", "slave",
	// "rshared", "shared"; mount_namespaces(7). Mounts below the source
	// come along in every case.
	Propagation string
	// Create makes a missing source as a directory (0755).
	Create bool
}

// CheckPropagation refuses an unknown word.
func CheckPropagation(word string) error {
	_, err := propagation(word)
	return err
}

func propagation(word string) (uint64, error) {
	switch word {
	case "", "rprivate", "private":
		return unix.MS_PRIVATE, nil
	case "rslave", "slave":
		return unix.MS_SLAVE, nil
	case "rshared", "shared":
		return unix.MS_SHARED, nil
	}
	return 0, fmt.Errorf("cannot use bind propagation %q: want rprivate, private, rslave, slave, rshared or shared", word)
}

// OpenBind returns the host path source as a detached mount.
func OpenBind(source string, o Options) (*os.File, error) {
	fd, err := unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) && o.Create {
		if err := os.MkdirAll(source, 0o755); err != nil {
			return nil, fmt.Errorf("cannot create bind source %s: %w", source, err)
		}
		fd, err = unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "bind", Path: source, Err: err}
	}
	defer unix.Close(fd)
	return detach(fd, source, o)
}

// Open returns the volume in dir, or what lies at subpath in it, as a detached
// mount. subpath cannot lead out of the volume.
func Open(dir, subpath string, o Options) (*os.File, error) {
	fd, err := unix.Open(Data(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open volume", Path: Data(dir), Err: err}
	}
	defer unix.Close(fd)
	if subpath == "" {
		return detach(fd, Data(dir), o)
	}
	below, err := unix.Openat2(fd, subpath, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open volume subpath", Path: subpath, Err: err}
	}
	defer unix.Close(below)
	return detach(below, subpath, o)
}

// detach clones the mount tree at fd and sets its attributes.
func detach(fd int, name string, o Options) (*os.File, error) {
	spread, err := propagation(o.Propagation)
	if err != nil {
		return nil, err
	}
	if err := fault.Errno("mount:volume"); err != nil {
		return nil, &fs.PathError{Op: "open_tree", Path: name, Err: err}
	}
	tree, err := unix.OpenTree(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open_tree", Path: name, Err: err}
	}
	attr := unix.MountAttr{Propagation: spread}
	if o.ReadOnly {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(tree)
		return nil, &fs.PathError{Op: "mount_setattr", Path: name, Err: err}
	}
	return os.NewFile(uintptr(tree), name), nil
}
