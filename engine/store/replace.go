package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/fault"
)

// fileOps are the operations that change the disk; a test stops after each.
type fileOps interface {
	// Create makes a new file 0600 with its content, synced if asked.
	Create(path string, content []byte, sync bool) error
	Rename(from, to string) error
	Remove(path string) error
	MkdirAll(path string) error
	SyncDir(path string) error
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

func (osOps) SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

const temporary = ".tmp"

// replace writes path as a whole or not at all.
func (s *Store) replace(path string, content []byte, d Durability) error {
	dir := filepath.Dir(path)
	// Unique per process and call; the pid keeps two processes apart.
	tmp := filepath.Join(dir, "."+filepath.Base(path)+"."+strconv.Itoa(os.Getpid())+
		"-"+strconv.FormatUint(s.count.Add(1), 10)+temporary)
	if d != Cached {
		s.syncs.Add(1)
	}
	err := s.ops.Create(tmp, content, d != Cached)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.ops.MkdirAll(dir); err == nil {
			err = s.ops.Create(tmp, content, d != Cached)
		}
	}
	if errors.Is(err, fs.ErrExist) { // a leftover of a dead process with our pid
		if err = s.ops.Remove(tmp); err == nil {
			err = s.ops.Create(tmp, content, d != Cached)
		}
	}
	if err == nil {
		err = s.ops.Rename(tmp, path)
	}
	if err != nil {
		_ = s.ops.Remove(tmp) // the first error counts
		return err
	}
	if d == Durable {
		s.syncs.Add(1)
		if err := s.ops.SyncDir(dir); err != nil {
			return fmt.Errorf("cannot sync %s: %w", dir, err)
		}
	}
	return nil
}

// Sweep removes temporary files that a killed process left. Only the holder of
// the daemon's lock may call it, before it writes.
func (s *Store) Sweep() error {
	var problems []error
	for _, top := range []string{"containers", "images", "networks", "volumes", "projects", "contents"} {
		for _, pattern := range []string{"*", "*/*", "*/*/*"} {
			if top == "volumes" && pattern == "*/*/*" {
				continue // users' content
			}
			if top == "containers" && pattern == "*/*/*" {
				continue
			}
			paths, err := filepath.Glob(filepath.Join(s.State, top, pattern))
			problems = append(problems, err)
			for _, path := range paths {
				base := filepath.Base(path)
				if strings.HasPrefix(base, ".") && strings.HasSuffix(base, temporary) {
					problems = append(problems, os.Remove(path))
				}
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("cannot sweep state folder: %w", err)
	}
	return nil
}
