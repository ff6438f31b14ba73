package tree

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Remove takes a file or a link away, a folder only if it is empty: a full one
// stays, and that is no error. wanted decides by the file that is there, nil is
// any; it gets no folders.
func (p *Placer) Remove(target string, wanted func(file *os.File, link string) (bool, error)) (changed bool, err error) {
	name, base := split(target)
	if base == "" {
		return false, ErrMountPoint
	}
	d, err := p.dir(name, false)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var st unix.Stat_t
	err = unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return p.removeFolder(d, base, path.Join(name, base))
	}
	if wanted != nil {
		if ok, err := p.ask(d, base, &st, wanted); err != nil || !ok {
			return false, err
		}
	}
	err = unix.Unlinkat(d.fd, base, 0)
	if errors.Is(err, unix.EBUSY) {
		err = ErrMountPoint
	}
	return err == nil, err
}

func (p *Placer) removeFolder(d place, base, name string) (bool, error) {
	if open, ok := p.dirs[name]; ok {
		unix.Close(open.fd)
		delete(p.dirs, name)
	}
	err := unix.Unlinkat(d.fd, base, unix.AT_REMOVEDIR)
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return false, nil
	case errors.Is(err, unix.EBUSY):
		return false, ErrMountPoint
	}
	return err == nil, err
}

// ask has wanted look at the file or link base.
func (p *Placer) ask(d place, base string, st *unix.Stat_t, wanted func(*os.File, string) (bool, error)) (bool, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		link, err := readlinkAt(d.fd, base)
		if err != nil {
			return false, err
		}
		return wanted(nil, link)
	case unix.S_IFREG:
		f, err := openRegularAt(d.fd, base)
		if err != nil {
			return false, err
		}
		defer f.Close()
		return wanted(f, "")
	}
	return false, nil
}
