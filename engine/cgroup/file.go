package cgroup

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A start reads and writes some fifty files of cgroups. Package os would put each
// into the poller and take it out again, since the kernel lets them be polled:
// three calls more than there is to do.

// open opens a file or folder of a cgroup, close-on-exec.
func open(file string, flags int) (int, error) {
	for {
		fd, err := unix.Open(file, flags|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return -1, &fs.PathError{Op: "open", Path: file, Err: err}
		}
	}
}

func openFile(file string, flags int) (*os.File, error) {
	fd, err := open(file, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), file), nil
}

// readFile reads a whole file.
func readFile(file string) ([]byte, error) {
	fd, err := open(file, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: file, Err: err}
		case n == 0:
			return all, nil
		default:
			all = append(all, buf[:n]...)
		}
	}
}

// write writes values of a cgroup file, which must exist, one after another.
func write(file string, texts ...string) error {
	fd, err := open(file, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, text := range texts {
		_, err := unix.Write(fd, []byte(text))
		for errors.Is(err, unix.EINTR) {
			_, err = unix.Write(fd, []byte(text))
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: file, Err: err}
		}
	}
	return nil
}
