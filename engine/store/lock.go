package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mycompose/mycompose/engine/folder"
)

// lockPath is where the lock of an object lies: apart from the object, since
// that is replaced.
func (s *Store) lockPath(k Kind, name string) (string, error) {
	if err := folder.CheckName(name); err != nil {
		return "", fmt.Errorf("cannot lock %s: %w", k.Word, err)
	}
	return filepath.Join(s.Run, "locks", strings.ReplaceAll(k.Folder, "/", "~")+"~"+name), nil
}

// Lock waits for the lock of an object, which need not exist.
func (s *Store) Lock(ctx context.Context, k Kind, name string, mode folder.Mode) (*folder.Lock, error) {
	path, err := s.lockPath(k, name)
	if err != nil {
		return nil, err
	}
	return folder.LockFile(ctx, path, mode)
}

// TryLock takes the lock of an object or returns folder.ErrLocked.
func (s *Store) TryLock(k Kind, name string, mode folder.Mode) (*folder.Lock, error) {
	path, err := s.lockPath(k, name)
	if err != nil {
		return nil, err
	}
	return folder.TryLockFile(path, mode)
}
