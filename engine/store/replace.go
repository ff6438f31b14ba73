package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// fileOps are the operations that change the disk; a test stops after each.
type fileOps interface {
	// Create makes a new file 0600 with its content, synced if asked.
	Create(path string, content []byte, sync bool) error
	// Append adds to a file that is there, unless it would then be larger than
	// limit bytes: errFull.
	Append(path string, content []byte, limit int64) error
	Rename(from, to string) error
	Remove(path string) error
	MkdirAll(path string) error
	// SyncAll makes durable what was written to the file system of path.
	SyncAll(path string) error
}

type osOps struct{}

func (osOps) Create(path string, content []byte, sync bool) error {
	if err := fault.Errno("store:create"); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = fault.Errno("store:write"); err == nil {
		_, err = f.Write(content)
	}
	if err == nil && sync {
		if err = fault.Errno("store:fsync"); err == nil {
			err = f.Sync()
		}
	}
	fault.Point("store:created")
	return errors.Join(err, f.Close())
}

func (osOps) Append(path string, content []byte, limit int64) error {
	// Not by package os, which would ask whether the file can be polled.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // what it could tell, the write has told
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Size+int64(len(content)) > limit {
		return errFull
	}
	if err := fault.Errno("store:append"); err != nil {
		return err
	}
	defer fault.Point("store:appended")
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
		content = content[max(n, 0):]
	}
	return nil
}

func (osOps) Rename(from, to string) error {
	if err := fault.Errno("store:rename"); err != nil {
		return err
	}
	defer fault.Point("store:renamed")
	return os.Rename(from, to)
}

func (osOps) Remove(path string) error {
	if err := fault.Errno("store:remove"); err != nil {
		return err
	}
	defer fault.Point("store:removed")
	return os.Remove(path)
}

func (osOps) MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

func (osOps) SyncAll(path string) error {
	if err := fault.Errno("store:syncfs"); err != nil {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

const temporary = ".tmp"

// appendLimit is how large a file that is added to may become, in bytes: a
// status has one or two thousand.
const appendLimit = 32 << 10

var errFull = errors.New("file is full")

// write puts an object on the disk, as its kind is.
func (s *Store) write(k Kind, path string, content []byte, d Durability) error {
	if !k.Often || d == Ordered {
		return s.replace(path, content, d)
	}
	if d != Volatile {
		s.changed.Store(true)
	}
	// It begins a line, whatever an earlier write that failed has left.
	err := s.ops.Append(path, append([]byte{'\n'}, content...), appendLimit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errFull) || errors.Is(err, unix.EISDIR) {
		return s.replace(path, content, d)
	}
	return err
}

// replace writes path as a whole or not at all.
func (s *Store) replace(path string, content []byte, d Durability) error {
	dir := filepath.Dir(path)
	// Unique per process and call; the pid keeps two processes apart.
	tmp := filepath.Join(dir, "."+filepath.Base(path)+"."+strconv.Itoa(os.Getpid())+
		"-"+strconv.FormatUint(s.count.Add(1), 10)+temporary)
	synced := d == Ordered
	if synced {
		s.syncs.Add(1)
	}
	if d != Volatile {
		s.changed.Store(true)
	}
	err := s.ops.Create(tmp, content, synced)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.ops.MkdirAll(dir); err == nil {
			err = s.ops.Create(tmp, content, synced)
		}
	}
	if errors.Is(err, fs.ErrExist) { // a leftover of a dead process with our pid
		if err = s.ops.Remove(tmp); err == nil {
			err = s.ops.Create(tmp, content, synced)
		}
	}
	if err == nil {
		err = s.ops.Rename(tmp, path)
		if err != nil && isDir(path) { // no object is one
			if _, err = moveAside(path); err == nil {
				err = s.ops.Rename(tmp, path)
			}
		}
	}
	if err != nil {
		_ = s.ops.Remove(tmp) // the first error counts
		return err
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// Sweep removes temporary files that a killed process left. Only the holder of
// the daemon's lock may call it, before it writes.
func (s *Store) Sweep() error {
	var problems []error
	for _, path := range s.objectFiles() {
		base := filepath.Base(path)
		if strings.HasPrefix(base, ".") && strings.HasSuffix(base, temporary) {
			problems = append(problems, s.ops.Remove(path))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("cannot sweep state folder: %w", err)
	}
	return nil
}
