package tree

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func readlinkAt(dir int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, base, buf)
	return string(buf[:max(n, 0)]), err
}

func openRegularAt(dir int, base string) (*os.File, error) {
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, errors.Join(err, ErrNotRegular)
	}
	return os.NewFile(uintptr(fd), base), nil
}

// sameContent compares base in dir with from, which is at its beginning before
// and after.
func sameContent(dir int, base string, from *os.File) (bool, error) {
	there, err := openRegularAt(dir, base)
	if err != nil {
		return false, nil // what cannot be read is replaced
	}
	defer there.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(there, a)
		m, errB := io.ReadFull(from, b)
		same := bytes.Equal(a[:n], b[:m])
		if same && errA == nil && errB == nil {
			continue
		}
		_, err := from.Seek(0, io.SeekStart)
		return same && ended(errA) && ended(errB), err
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Source is a file, link or folder that is to be put somewhere.
type Source struct {
	File *os.File // a regular file, the caller closes it
	Link string   // where a link leads
	// Folder has Mode; of the others it is in the file.
	Folder bool
	Mode   uint32
}

// OpenSource opens name below the root without following any link. What is
// neither file nor link nor folder is ErrNotRegular.
func (r *Root) OpenSource(name string) (Source, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	above, base := split(name)
	if base == "" {
		base = "."
	}
	how.Flags |= unix.O_DIRECTORY
	parent, err := unix.Openat2(r.fd, above, &how)
	if err != nil {
		return Source{}, err
	}
	defer unix.Close(parent)
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Source{}, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Source{Folder: true, Mode: st.Mode}, nil
	case unix.S_IFLNK:
		link, err := readlinkAt(parent, base)
		return Source{Link: link}, err
	case unix.S_IFREG:
		f, err := openRegularAt(parent, base)
		return Source{File: f, Mode: st.Mode}, err
	}
	return Source{}, ErrNotRegular
}
