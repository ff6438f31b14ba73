package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Copy copies what is at from in src to the name to in dst: a directory with
// everything below it, or one file. Owners, modes, extended attributes, times,
// hard links among the copied files, symbolic links (as they are), devices,
// FIFOs and holes are kept; sockets are left out. Links on the way to from and
// to are followed inside their roots; the directory of to must exist. An
// existing directory to is filled and takes over from's owner, mode and times,
// so that a fresh volume looks like the image's folder; existing files in it
// are replaced.
func Copy(ctx context.Context, src *Root, from string, dst *Root, to string) error {
	fromFD, err := src.openat2(from, unix.O_PATH, 0)
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", from, err)
	}
	defer unix.Close(fromFD)
	c := &copier{ctx: ctx, links: map[inode]string{}, dst: dst}
	var st unix.Stat_t
	if err := unix.Fstat(fromFD, &st); err != nil {
		return fmt.Errorf("cannot copy %s: %w", from, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = c.intoDirectory(fromFD, to, &st)
	} else {
		err = c.oneFile(src, from, to, &st)
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", from, err)
	}
	return nil
}

// Like gives the directory name in dst the owner, mode, extended attributes
// and times of the directory name in src.
func Like(src, dst *Root, name string) error {
	from, err := src.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", name, err)
	}
	defer unix.Close(from)
	to, err := dst.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", name, err)
	}
	defer unix.Close(to)
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return fmt.Errorf("cannot stat %s: %w", name, err)
	}
	if err := copyAttributes(from, to, &st); err != nil {
		return fmt.Errorf("cannot set attributes of %s: %w", name, err)
	}
	return nil
}

type inode struct{ dev, ino uint64 }

type copier struct {
	ctx   context.Context
	dst   *Root
	links map[inode]string // first copy of a file with several names
}

// intoDirectory copies the directory open as fromFD (O_PATH) to name.
func (c *copier) intoDirectory(fromFD int, name string, st *unix.Stat_t) error {
	to, err := c.dst.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := c.dst.MkdirAll(name, 0o700, 0, 0); err != nil {
			return err
		}
		to, err = c.dst.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return c.directory(fromFD, to, name, st)
}

// directory copies what is in fromFD into toFD, then its own attributes.
func (c *copier) directory(fromFD, toFD int, name string, st *unix.Stat_t) error {
	fd, err := unix.Openat(fromFD, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, base := range names {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.entry(fd, toFD, base, path.Join(name, base)); err != nil {
			return fmt.Errorf("%s: %w", base, err)
		}
	}
	return copyAttributes(fd, toFD, st)
}

// entry copies base of one directory into another one; name is its path in
// dst, for hard links.
func (c *copier) entry(fromDir, toDir int, base, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fromDir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.subdirectory(fromDir, toDir, base, name, &st)
	case unix.S_IFSOCK:
		return nil
	}
	if st.Nlink > 1 {
		key := inode{uint64(st.Dev), st.Ino}
		if first, ok := c.links[key]; ok {
			return c.link(first, toDir, base)
		}
		c.links[key] = name
	}
	if err := removeAt(toDir, base); err != nil {
		return err
	}
	if err := c.make(fromDir, toDir, base, &st); err != nil {
		return err
	}
	return copyNodeAttributes(fromDir, toDir, base, &st)
}

func (c *copier) subdirectory(fromDir, toDir int, base, name string, st *unix.Stat_t) error {
	from, err := unix.Openat(fromDir, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	var there unix.Stat_t
	err = unix.Fstatat(toDir, base, &there, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && there.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = errors.Join(removeAt(toDir, base), unix.ENOENT)
	}
	if errors.Is(err, unix.ENOENT) {
		err = unix.Mkdirat(toDir, base, 0o700)
	}
	if err != nil {
		return err
	}
	to, err := unix.Openat(toDir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return c.directory(from, to, name, st)
}

func (c *copier) link(first string, toDir int, base string) error {
	dir, last, err := c.dst.openParent(first)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := removeAt(toDir, base); err != nil {
		return err
	}
	return unix.Linkat(dir, last, toDir, base, 0)
}

// make creates base like its source, without attributes.
func (c *copier) make(fromDir, toDir int, base string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return copyRegular(fromDir, base, toDir, base)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fromDir, base, buf)
		if err != nil {
			return err
		}
		return unix.Symlinkat(string(buf[:n]), toDir, base)
	}
	return unix.Mknodat(toDir, base, st.Mode&unix.S_IFMT|0o600, int(st.Rdev))
}

// oneFile copies a single file; a link from was followed to st.
func (c *copier) oneFile(src *Root, from, to string, st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ErrNotRegular
	}
	file, _, err := src.openRegular(from)
	if err != nil {
		return err
	}
	defer file.Close()
	dir, base, err := c.dst.openParent(to)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := createAt(dir, base)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), base)
	defer out.Close()
	if err := copySparse(file, out, st.Size); err != nil {
		return err
	}
	return copyAttributes(int(file.Fd()), fd, st)
}

func copyRegular(fromDir int, from string, toDir int, to string) error {
	fd, err := unix.Openat(fromDir, from, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(fd), from)
	defer in.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ErrNotRegular // it was swapped under us
	}
	fd, err = createAt(toDir, to)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), to)
	err = copySparse(in, out, st.Size)
	return errors.Join(err, out.Close())
}

// copySparse copies the data pieces of in and leaves its holes out.
func copySparse(in, out *os.File, size int64) error {
	for offset := int64(0); offset < size; {
		start, err := in.Seek(offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole is left
		}
		if err != nil {
			start = offset // a file system without SEEK_DATA
		}
		end, err := in.Seek(start, unix.SEEK_HOLE)
		if err != nil || end <= start {
			end = size
		}
		if _, err := in.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, end-start); err != nil && err != io.EOF {
			return err
		}
		offset = end
	}
	return out.Truncate(size)
}
