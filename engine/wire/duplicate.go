package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Duplicate returns a further descriptor of an open file, close-on-exec.
func Duplicate(file *os.File) (*os.File, error) {
	fd, err := DuplicateFD(file)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}

// DuplicateFD is Duplicate for a number, which no poller watches.
func DuplicateFD(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("cannot duplicate %s: %w", file.Name(), err)
	}
	var dupErr error
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, dupErr); err != nil {
		return -1, fmt.Errorf("cannot duplicate %s: %w", file.Name(), err)
	}
	return fd, nil
}

// numbers are the descriptors of files, to be passed while these are open.
func numbers(files ...*os.File) ([]int, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		// SyscallConn and not Fd: Fd would make the file blocking.
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, fmt.Errorf("cannot pass %s: %w", f.Name(), err)
		}
	}
	return fds, nil
}
