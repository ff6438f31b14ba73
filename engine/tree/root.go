package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// inside keeps a lookup below the directory it starts from (openat2(2)).
const inside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// Root is an open directory that paths are resolved in. It may be used by
// many goroutines.
type Root struct {
	file *os.File
	fd   int
}

// Open opens the directory at the host path name, which is trusted.
func Open(name string) (*Root, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %s: %w", name, err)
	}
	return &Root{os.NewFile(uintptr(fd), name), fd}, nil
}

// FromFD makes a Root of a duplicate of the directory descriptor fd, which
// stays the caller's.
func FromFD(fd int) (*Root, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate directory descriptor %d: %w", fd, err)
	}
	return &Root{os.NewFile(uintptr(dup), "root"), dup}, nil
}

// Close closes the descriptor.
func (r *Root) Close() error { return r.file.Close() }

// FD is the descriptor, valid until Close.
func (r *Root) FD() int { return r.fd }

// openat2 opens name with the flags of open(2), below the root. The kernel
// answers EAGAIN when a rename elsewhere raced with a "..".
func (r *Root) openat2(name string, flags int, mode uint32) (int, error) {
	return openInside(r.fd, name, flags, mode)
}

func openInside(dirFD int, name string, flags int, mode uint32) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: inside}
	var fd int
	var err error
	for range 256 {
		fd, err = unix.Openat2(dirFD, name, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			break
		}
	}
	return fd, err
}

// OpenFile opens name with the flags of open(2); symbolic links are followed
// below the root. New files get exactly perm's bits and the umask.
//
// It opens whatever is there: pass unix.O_NONBLOCK where it may be a FIFO.
func (r *Root) OpenFile(name string, flags int, perm uint32) (*os.File, error) {
	if flags&(unix.O_CREAT|unix.O_TMPFILE) == 0 {
		perm = 0 // openat2(2) refuses a mode it does not need
	}
	fd, err := r.openat2(name, flags, perm)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Sub is the directory name below the root as a Root of its own. Links in it
// then end at that directory.
func (r *Root) Sub(name string) (*Root, error) {
	fd, err := r.openat2(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %s: %w", name, err)
	}
	return &Root{os.NewFile(uintptr(fd), name), fd}, nil
}

// Stat describes name; a link as its last element is followed.
func (r *Root) Stat(name string) (unix.Stat_t, error) { return r.stat(name, 0) }

// Lstat describes name itself, also if it is a symbolic link.
func (r *Root) Lstat(name string) (unix.Stat_t, error) { return r.stat(name, unix.O_NOFOLLOW) }

func (r *Root) stat(name string, flags int) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := r.openat2(name, unix.O_PATH|flags, 0)
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	if err != nil {
		return st, fmt.Errorf("cannot stat %s: %w", name, err)
	}
	return st, nil
}

// openParent opens the directory that holds name and returns name's last
// element. The root itself has no parent.
func (r *Root) openParent(name string) (fd int, base string, err error) {
	dir, base := split(name)
	if base == "" {
		return -1, "", unix.EBUSY
	}
	fd, err = r.openat2(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return fd, base, err
}

// split cleans name as an absolute path and cuts it into a directory without
// leading slash ("." for the root) and a last element ("" for the root).
// A ".." is taken away lexically, so it never reaches the kernel.
func split(name string) (dir, base string) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	dir, base = path.Split(clean)
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		dir = "."
	}
	return dir, base
}

// MkdirAll makes the directory name and what is missing above it, each new
// one with the mode perm (the umask does not count) and the given owner.
// Links are followed below the root; an existing directory is left alone.
func (r *Root) MkdirAll(name string, perm, uid, gid uint32) error {
	fd, _, err := r.mkdirAll(strings.TrimPrefix(path.Clean("/"+name), "/"), perm, uid, gid)
	if err != nil {
		return fmt.Errorf("cannot make directory %s: %w", name, err)
	}
	unix.Close(fd)
	return nil
}

// mkdirAll opens the directory clean and makes what is missing; made are the
// paths of the new ones, outermost first.
func (r *Root) mkdirAll(clean string, perm, uid, gid uint32) (fd int, made []string, err error) {
	fd, err = r.openat2(clean, unix.O_PATH|unix.O_DIRECTORY, 0)
	if !errors.Is(err, unix.ENOENT) {
		return fd, nil, err
	}
	dir, base := split(clean)
	if base == "" {
		return -1, nil, unix.ENOENT // the root itself was removed
	}
	parent, made, err := r.mkdirAll(dir, perm, uid, gid)
	if err != nil {
		return -1, made, err
	}
	defer unix.Close(parent)
	fd, err = mkdirAt(parent, base, perm, uid, gid)
	if err == unix.EEXIST { // a racing mkdir, or a link that leads nowhere
		fd, err = r.openat2(clean, unix.O_PATH|unix.O_DIRECTORY, 0)
		return fd, made, err
	}
	return fd, append(made, clean), err
}

// mkdirAt makes one directory with exact mode and owner and opens it (O_PATH).
func mkdirAt(parent int, base string, perm, uid, gid uint32) (int, error) {
	if err := unix.Mkdirat(parent, base, 0o700); err != nil {
		return -1, err
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if uid != 0 || gid != 0 || os.Geteuid() != 0 {
		if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if err := unix.Fchmod(fd, perm); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Readlink returns the target of the symbolic link name.
func (r *Root) Readlink(name string) (string, error) {
	fd, err := r.openat2(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", fmt.Errorf("cannot read link %s: %w", name, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("cannot read link %s: %w", name, err)
	}
	return string(buf[:n]), nil
}
