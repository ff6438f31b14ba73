package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrTooLarge is returned when a file is larger than the caller's limit.
var ErrTooLarge = errors.New("file is too large")

// ErrNotRegular is returned where only a regular file is read.
var ErrNotRegular = errors.New("not a regular file")

// ReadFile reads the regular file name, following links below the root. It
// refuses more than limit bytes with ErrTooLarge and anything that is not a
// regular file with ErrNotRegular, without waiting for a FIFO's writer.
func (r *Root) ReadFile(name string, limit int64) ([]byte, error) {
	file, size, err := r.openRegular(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	defer file.Close()
	if size > limit {
		return nil, fmt.Errorf("cannot read %s: %w (%d bytes, limit %d)", name, ErrTooLarge, size, limit)
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if n > limit {
		return nil, fmt.Errorf("cannot read %s: %w (limit %d bytes)", name, ErrTooLarge, limit)
	}
	return out.Bytes(), nil
}

// openRegular looks before it opens, since opening a device can do something.
func (r *Root) openRegular(name string) (*os.File, int64, error) {
	st, err := r.Stat(name)
	if err != nil {
		return nil, 0, errors.Unwrap(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, 0, ErrNotRegular
	}
	fd, err := r.openat2(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, 0, errors.Join(err, ErrNotRegular)
	}
	return os.NewFile(uintptr(fd), name), st.Size, nil
}

// Owner is what a new file gets.
type Owner struct {
	Mode     uint32 // permission bits, setuid, setgid and sticky included
	UID, GID uint32
}

// WriteFile puts a regular file with content data at name: the directory must
// exist, an existing file or link of that name is replaced at once by rename,
// never written through.
func (r *Root) WriteFile(name string, data []byte, owner Owner) error {
	if err := r.writeFile(name, data, owner); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

func (r *Root) writeFile(name string, data []byte, owner Owner) error {
	parent, base, err := r.openParent(name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	temp := ".mycompose-" + strconv.Itoa(os.Getpid()) + "-" + base
	if len(temp) > unix.NAME_MAX {
		temp = temp[:unix.NAME_MAX]
	}
	fd, err := createAt(parent, temp)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), temp)
	_, err = file.Write(data)
	if err == nil {
		err = setOwnerMode(fd, owner)
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = unix.Renameat(parent, temp, parent, base)
	}
	if err != nil {
		unix.Unlinkat(parent, temp, 0)
	}
	return err
}

// createAt makes a new file base in parent; what stands there is unlinked.
func createAt(parent int, base string) (int, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(parent, base, flags, 0o600)
	if err != unix.EEXIST {
		return fd, err
	}
	if err := removeAt(parent, base); err != nil {
		return -1, err
	}
	return unix.Openat(parent, base, flags, 0o600)
}

// setOwnerMode sets the owner first: chown(2) clears setuid.
func setOwnerMode(fd int, owner Owner) error {
	if err := unix.Fchown(fd, int(owner.UID), int(owner.GID)); err != nil {
		return fmt.Errorf("cannot set owner %d:%d: %w", owner.UID, owner.GID, err)
	}
	if err := unix.Fchmod(fd, owner.Mode&0o7777); err != nil {
		return fmt.Errorf("cannot set mode %04o: %w", owner.Mode, err)
	}
	return nil
}

// RemoveAll removes name and everything below it; a link is removed itself.
// A missing name is no error.
func (r *Root) RemoveAll(name string) error {
	parent, base, err := r.openParent(name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		err = removeAt(parent, base)
		unix.Close(parent)
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", name, err)
	}
	return nil
}

// removeAt removes base in the directory parent, also a full directory.
func removeAt(parent int, base string) error {
	err := unix.Unlinkat(parent, base, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	if err = unix.Unlinkat(parent, base, unix.AT_REMOVEDIR); err != unix.ENOTEMPTY {
		if err == unix.ENOENT {
			return nil
		}
		return err
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), base)
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if e := removeAt(fd, name); e != nil && err == nil {
			err = e
		}
	}
	dir.Close()
	if err != nil {
		return err
	}
	return unix.Unlinkat(parent, base, unix.AT_REMOVEDIR)
}
