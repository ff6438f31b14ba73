package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// FullError says that the file system of the state folder takes nothing more.
// errors.Is knows it as spec.ErrNoSpace and as what the kernel said.
type FullError struct {
	Folder string // the state folder
	Errno  unix.Errno
}

func (e *FullError) Error() string {
	if errors.Is(e.Errno, unix.EDQUOT) {
		return fmt.Sprintf("%v in %s", e.Errno, e.Folder)
	}
	return fmt.Sprintf("%v: the file system of %s is full", e.Errno, e.Folder)
}

func (e *FullError) Unwrap() []error { return []error{spec.ErrNoSpace, e.Errno} }

// plainly names the folder that is full in place of a temporary file in it.
func (s *Store) plainly(err error) error {
	for _, full := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, full) {
			return &FullError{s.State, full}
		}
	}
	return err
}
