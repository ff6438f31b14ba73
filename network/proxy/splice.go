package proxy

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// connect opens a TCP connection and waits for it.
func connect(to Target) (*os.File, error) {
	fd, err := unix.Socket(to.domain(), unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Connect(fd, to.sockaddr())
	f := os.NewFile(uintptr(fd), "container")
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		f.Close()
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	result := 0
	waited := raw.Write(func(fd uintptr) bool {
		if result, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || result != 0 {
			return true
		}
		// Connected once it has a peer.
		_, again := unix.Getpeername(int(fd))
		return again == nil
	})
	if err == nil {
		err = waited
	}
	if err == nil && result != 0 {
		err = unix.Errno(result)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// piece is how much one splice moves at most: the size of a pipe.
const piece = 64 << 10

// pump moves bytes from one socket to another until the first ends, and then
// ends the other's side. An error on either side ends both directions.
func pump(to, from *os.File) {
	err := move(to, from)
	how := unix.SHUT_WR
	if err != nil {
		how = unix.SHUT_RDWR
		shutdown(from, how)
	}
	shutdown(to, how)
}

func shutdown(f *os.File, how int) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
	}
}

// abort closes a connection with a reset: nothing of it keeps its port from being
// bound.
func abort(f *os.File) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
	}
	f.Close()
}

// move is pump without the end. The pipe between is empty whenever it reads, so
// that EAGAIN always means the socket.
func move(to, from *os.File) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	source, err := from.SyscallConn()
	if err != nil {
		return err
	}
	sink, err := to.SyscallConn()
	if err != nil {
		return err
	}
	for {
		n, err := spliced(source.Read, func(fd int) (int64, error) {
			return unix.Splice(fd, nil, p[1], nil, piece, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		})
		if n == 0 || err != nil {
			return err
		}
		for n > 0 {
			m, err := spliced(sink.Write, func(fd int) (int64, error) {
				return unix.Splice(p[0], nil, fd, nil, int(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
			})
			if err != nil {
				return err
			}
			n -= m
		}
	}
}

// spliced calls try when the socket is ready, until it does something.
func spliced(ready func(func(uintptr) bool) error, try func(fd int) (int64, error)) (int64, error) {
	var n int64
	var err error
	waited := ready(func(fd uintptr) bool {
		for {
			n, err = try(int(fd))
			if !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	})
	if waited != nil {
		return 0, waited
	}
	return n, err
}
