package tree

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh."
	whiteoutOpaque = ".wh..wh..opq"

	opaqueXattr = "trusted.overlay.opaque"
)

// whiteout hides what lower layers hold: one name, or all of the directory.
func (u *untar) whiteout(parent int, base string) error {
	if base == whiteoutOpaque {
		return setxattrAt(parent, ".", opaqueXattr, []byte("y"))
	}
	hidden, err := hiddenName(base)
	if hidden == "" || err != nil {
		return err
	}
	err = unix.Mknodat(parent, hidden, unix.S_IFCHR, 0)
	if err != unix.EEXIST {
		return err
	}
	// This layer brings hidden itself: a whiteout speaks of lower layers
	// only, and all but a directory hides them anyway.
	var st unix.Stat_t
	if err := unix.Fstatat(parent, hidden, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return setxattrAt(parent, hidden, opaqueXattr, []byte("y"))
	}
	return nil
}

// hiddenName is the name that a whiteout hides; "" for book-keeping of aufs,
// which means nothing here.
func hiddenName(base string) (string, error) {
	if strings.HasPrefix(base, whiteoutMeta) {
		return "", nil
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return "", errors.New("bad whiteout name")
	}
	return hidden, nil
}

// create makes the entry name as base in parent.
func (u *untar) create(parent int, name, base string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeGNUSparse, tar.TypeCont:
		return u.regular(parent, base, header, content)
	case tar.TypeDir:
		return u.directory(parent, name, base, header)
	case tar.TypeLink:
		return u.hardLink(parent, base, header.Linkname)
	case tar.TypeSymlink:
		make := func() error { return unix.Symlinkat(header.Linkname, parent, base) }
		return u.node(parent, base, header, make)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		kind, device, err := nodeType(header)
		if err != nil {
			return err
		}
		make := func() error { return unix.Mknodat(parent, base, kind|0o600, device) }
		return u.node(parent, base, header, make)
	}
	return fmt.Errorf("unknown type %q", header.Typeflag)
}

func nodeType(header *tar.Header) (kind uint32, device int, err error) {
	switch header.Typeflag {
	case tar.TypeFifo:
		return unix.S_IFIFO, 0, nil
	case tar.TypeChar:
		kind = unix.S_IFCHR
	default:
		kind = unix.S_IFBLK
	}
	if header.Devmajor < 0 || header.Devmajor > 1<<12 || header.Devminor < 0 || header.Devminor > 1<<20 {
		return 0, 0, fmt.Errorf("bad device number %d:%d", header.Devmajor, header.Devminor)
	}
	return kind, int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))), nil
}

// replacing calls make, and if the name is taken clears it and calls again.
// The remembered directory is always the parent of the entry in hand, so what
// is removed here is never it.
func replacing(parent int, base string, make func() error) error {
	err := make()
	if err != unix.EEXIST {
		return err
	}
	if err := removeAt(parent, base); err != nil {
		return err
	}
	return make()
}

func (u *untar) regular(parent int, base string, header *tar.Header, content io.Reader) error {
	owner, err := headerOwner(header)
	if err != nil {
		return err
	}
	fd, err := createAt(parent, base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := u.copyContent(fd, header.Size, content); err != nil {
		return err
	}
	if err := setOwnerMode(fd, owner); err != nil {
		return err
	}
	set := func(name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) }
	if err := setXattrs(header, set); err != nil {
		return err
	}
	return futimens(fd, headerTimes(header))
}

// copyContent writes size bytes and leaves holes where whole buffers are zero.
func (u *untar) copyContent(fd int, size int64, content io.Reader) error {
	if err := checkSpace(fd, size); err != nil {
		return err
	}
	var done int64
	hole := false
	for done < size {
		chunk := u.buffer[:min(int64(len(u.buffer)), size-done)]
		n, err := io.ReadFull(content, chunk)
		if err != nil {
			return fmt.Errorf("cannot read its content after %d of %d bytes: %w", done+int64(n), size, err)
		}
		if hole = isZero(chunk); !hole {
			if err := writeAt(fd, chunk, done); err != nil {
				return err
			}
		}
		done += int64(n)
	}
	if hole {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

// checkSpace refuses a file that cannot fit before a byte of it is written.
// Small ones are let through: write(2) tells it as well.
func checkSpace(fd int, size int64) error {
	if size < 64<<20 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if free := float64(st.Bavail) * float64(st.Bsize); float64(size) > free {
		return fmt.Errorf("%d bytes do not fit into %.0f bytes of free space: %w", size, free, unix.ENOSPC)
	}
	return nil
}

// isZero says whether chunk holds nothing but zero bytes. Pieces below a file
// system block are not worth a hole.
func isZero(chunk []byte) bool {
	if len(chunk) < 4096 || chunk[0] != 0 || chunk[len(chunk)-1] != 0 {
		return false
	}
	for _, b := range chunk {
		if b != 0 {
			return false
		}
	}
	return true
}

func writeAt(fd int, data []byte, offset int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, offset)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

func (u *untar) directory(parent int, name, base string, header *tar.Header) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var overWhiteout bool
	err := unix.Mkdirat(parent, base, 0o700)
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			overWhiteout = st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
			err = replacing(parent, base, func() error { return unix.Mkdirat(parent, base, 0o700) })
		} else {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(parent, base, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if overWhiteout {
		if err := unix.Fsetxattr(fd, opaqueXattr, []byte("y"), 0); err != nil {
			return err
		}
	}
	return u.directoryItself(name, fd, header)
}

// directoryItself gives the directory name, open as fd, what header says.
func (u *untar) directoryItself(name string, fd int, header *tar.Header) error {
	owner, err := headerOwner(header)
	if err != nil {
		return err
	}
	if name == "." { // the root is open as O_PATH only
		if fd, err = unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	if err := setOwnerMode(fd, owner); err != nil {
		return err
	}
	set := func(attr string, value []byte) error { return unix.Fsetxattr(fd, attr, value, 0) }
	if err := setXattrs(header, set); err != nil {
		return err
	}
	if u.described == nil {
		u.described = map[string]bool{}
	}
	u.described[name] = true
	u.dirTimes = append(u.dirTimes, dirTime{name, headerTimes(header)})
	return nil
}

// hardLink links base to target, a name of this archive. The last element of
// target is not followed: a link to a symbolic link is legal.
func (u *untar) hardLink(parent int, base, target string) error {
	clean, err := cleanName(target)
	if err != nil || clean == "" {
		return fmt.Errorf("bad hard link target %q", target)
	}
	fd, last, err := u.root.openParent(clean)
	if err == nil {
		defer unix.Close(fd)
		err = u.linkAt(fd, last, parent, base)
	}
	if err != nil {
		return fmt.Errorf("cannot link it to %q: %w", target, err)
	}
	return nil
}

func (u *untar) linkAt(fromDir int, from string, toDir int, to string) error {
	var a, b unix.Stat_t
	if err := unix.Fstatat(fromDir, from, &a, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if unix.Fstatat(toDir, to, &b, unix.AT_SYMLINK_NOFOLLOW) == nil && a.Ino == b.Ino && a.Dev == b.Dev {
		return nil // to itself, or the same entry twice
	}
	return replacing(toDir, to, func() error { return unix.Linkat(fromDir, from, toDir, to, 0) })
}

// node makes a symbolic link, device or FIFO and gives it what header says.
func (u *untar) node(parent int, base string, header *tar.Header, make func() error) error {
	owner, err := headerOwner(header)
	if err != nil {
		return err
	}
	if err := replacing(parent, base, make); err != nil {
		return err
	}
	if err := unix.Fchownat(parent, base, int(owner.UID), int(owner.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot set owner %d:%d: %w", owner.UID, owner.GID, err)
	}
	if header.Typeflag != tar.TypeSymlink {
		if err := chmodAt(parent, base, owner.Mode); err != nil {
			return fmt.Errorf("cannot set mode %04o: %w", owner.Mode, err)
		}
	}
	set := func(name string, value []byte) error { return setxattrAt(parent, base, name, value) }
	if err := setXattrs(header, set); err != nil {
		return err
	}
	times := headerTimes(header)
	return unix.UtimesNanoAt(parent, base, times[:], unix.AT_SYMLINK_NOFOLLOW)
}

func headerOwner(header *tar.Header) (Owner, error) {
	for _, id := range []int{header.Uid, header.Gid} {
		if id < 0 || int64(id) >= math.MaxUint32 { // the last one means "unchanged"
			return Owner{}, fmt.Errorf("bad owner %d:%d", header.Uid, header.Gid)
		}
	}
	return Owner{Mode: uint32(header.Mode & 0o7777), UID: uint32(header.Uid), GID: uint32(header.Gid)}, nil
}
