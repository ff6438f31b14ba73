package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into sockaddr_un with its final zero, unix(7).
const maxSocketPath = 107

// Listener is a listening unix stream socket.
type Listener struct {
	file   *os.File
	raw    rawConn
	closed atomic.Bool // the raw connection's own error for it has no name
}

// Listen makes a socket 0600 at path, in place of a stale one, and listens.
// Whoever may listen there is decided before, by a lock.
func Listen(path string) (*Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	err = withAddress(path, func(address *unix.SockaddrUnix) error {
		// The mode of the inode is that of the socket at bind time: no
		// moment in which others may connect.
		if err := unix.Fchmod(fd, 0o600); err != nil {
			return err
		}
		if err := unix.Bind(fd, address); err != nil {
			return err
		}
		return unix.Listen(fd, 128)
	})
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return NewListener(os.NewFile(uintptr(fd), path))
}

// NewListener takes over a listening socket, for example an inherited one.
func NewListener(file *os.File) (*Listener, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return &Listener{file: file, raw: raw}, nil
}

// InheritedListener takes over the listening socket at descriptor fd.
func InheritedListener(fd int) (*Listener, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("cannot use socket %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	return NewListener(os.NewFile(uintptr(fd), "listener"))
}

// File is the listening socket, to be inherited by a process.
func (l *Listener) File() *os.File { return l.file }

// Close ends listening; an Accept that waits returns os.ErrClosed. The name
// stays in the folder.
func (l *Listener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// acceptPause is the wait before it is accepted again while the machine, or this
// process, has too few descriptors or too little memory for that, accept(2).
const acceptPause = 50 * time.Millisecond

// Accept waits for a connection of this user or of root; others are closed
// unheard. A shortage passes: who listens here is not to end by it.
func (l *Listener) Accept() (*Conn, error) {
	for {
		var fd int
		var acceptErr error
		err := l.raw.Read(func(listener uintptr) bool {
			fd, _, acceptErr = unix.Accept4(int(listener), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return acceptErr != unix.EAGAIN
		})
		if err == nil {
			err = acceptErr
		}
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case l.closed.Load():
			if err == nil {
				unix.Close(fd)
			}
			return nil, os.ErrClosed
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			time.Sleep(acceptPause)
			continue
		case err != nil:
			return nil, fmt.Errorf("cannot accept: %w", err)
		}
		who, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil || who.Uid != 0 && int(who.Uid) != os.Geteuid() {
			unix.Close(fd)
			continue
		}
		return NewConn(fd)
	}
}

// Dial connects to the socket at path.
func Dial(path string) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", path, err)
	}
	err = withAddress(path, func(address *unix.SockaddrUnix) error {
		for {
			err := unix.Connect(fd, address)
			if err != unix.EINTR {
				return err
			}
		}
	})
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot connect to %s: %w", path, err)
	}
	return NewConn(fd)
}

// PeerPID is the pid of the process that connected or listened, unix(7)
// SO_PEERCRED.
func (c *Conn) PeerPID() (int, error) {
	var who *unix.Ucred
	var sockErr error
	err := c.raw.Control(func(fd uintptr) {
		who, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, sockErr); err != nil {
		return 0, fmt.Errorf("cannot ask who is connected: %w", err)
	}
	return int(who.Pid), nil
}

// withAddress calls f with an address for path; one that is too long is
// reached through the descriptor of its folder.
func withAddress(path string, f func(*unix.SockaddrUnix) error) error {
	if len(path) <= maxSocketPath {
		return f(&unix.SockaddrUnix{Name: path})
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return f(&unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)})
}
