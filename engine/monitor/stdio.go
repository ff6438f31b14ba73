package monitor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
)

// pipes are the two sides of a process's stdio.
type pipes struct {
	theirs   spawn.Stdio
	in       *os.File // nil: it has no stdin, or a terminal
	out, err *os.File
}

// pipeSize asks for more than the default 64 KiB, fcntl(2) F_SETPIPE_SZ, so
// that a fast writer waits less often.
const pipeSize = 256 << 10

// newPipes makes the stdio of a process without terminal. Its own ends belong
// to its user, so that it can open /dev/stdout anew.
func newPipes(p recipe.Process, stdin bool) (s pipes, err error) {
	defer func() {
		if err != nil {
			s.closeAll()
			err = fmt.Errorf("cannot make stdio: %w", err)
		}
	}()
	if stdin {
		s.theirs.In, s.in, err = pipe(p.UID, p.GID)
	} else {
		s.theirs.In, err = os.Open(os.DevNull)
	}
	if err != nil {
		return s, err
	}
	if s.out, s.theirs.Out, err = pipe(p.UID, p.GID); err != nil {
		return s, err
	}
	s.err, s.theirs.Err, err = pipe(p.UID, p.GID)
	return s, err
}

// pipe returns both ends: ours is pollable, which end that is does not matter.
func pipe(uid, gid uint32) (read, write *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize) // a wish
	if uid != 0 || gid != 0 {
		if err := unix.Fchown(fds[0], int(uid), int(gid)); err != nil {
			return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
		}
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// closeTheirs closes the ends that the process has inherited, and makes ours
// pollable.
func (s *pipes) closeTheirs() error {
	closeFiles([]*os.File{s.theirs.In, s.theirs.Out, s.theirs.Err})
	s.theirs = spawn.Stdio{}
	for _, file := range []**os.File{&s.in, &s.out, &s.err} {
		if *file == nil {
			continue
		}
		poll, err := pollable(*file)
		if err != nil {
			return err
		}
		(*file).Close()
		*file = poll
	}
	return nil
}

func (s *pipes) closeAll() {
	closeFiles([]*os.File{s.theirs.In, s.theirs.Out, s.theirs.Err, s.in, s.out, s.err})
}

// pollable duplicates a file as one that waits in the poller and not in a
// thread: reading can be given a deadline.
func pollable(file *os.File) (*os.File, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(old uintptr) {
		if fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); dupErr != nil {
			return
		}
		dupErr = unix.SetNonblock(fd, true)
	})
	if err := errors.Join(err, dupErr); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("cannot poll %s: %w", file.Name(), err)
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}
