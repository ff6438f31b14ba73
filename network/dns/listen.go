package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Addr is where containers find the resolver: the address that dockerd's
// containers use.
func Addr() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 11}) }

// Sockets are one container's two resolver sockets.
type Sockets struct {
	UDP, TCP         *os.File
	UDPPort, TCPPort uint16
	// Rules holds what leads port 53 to them against those inside; nil where
	// nobody can change it.
	Rules *os.File
}

// Close closes all; the zero Sockets may be closed.
func (s Sockets) Close() {
	for _, f := range []*os.File{s.UDP, s.TCP, s.Rules} {
		if f != nil {
			f.Close()
		}
	}
}

// Listen opens the sockets in the network namespace of the calling thread.
// The loopback device need not be up yet. No poller watches the files, as they are
// opened to wait; who serves makes them not to.
func Listen() (Sockets, error) {
	var s Sockets
	var err error
	if s.UDP, s.UDPPort, err = open(unix.SOCK_DGRAM); err == nil {
		s.TCP, s.TCPPort, err = open(unix.SOCK_STREAM)
	}
	if err != nil {
		s.Close()
		return Sockets{}, fmt.Errorf("cannot open the resolver's sockets on %s: %w", Addr(), err)
	}
	return s, nil
}

// Unwatch replaces a socket's file, which is not served now, by one that no poller
// watches: each packet would wake it too.
func Unwatch(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(old uintptr) {
		if failed = unix.SetNonblock(int(old), false); failed == nil {
			fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), f.Close()
}

// backlog is how many TCP connections wait while no daemon serves them.
const backlog = 128

func open(kind int) (*os.File, uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: Addr().As4()})
	}
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return nil, 0, err
	}
	f := os.NewFile(uintptr(fd), "resolver")
	port, err := Port(f)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, port, nil
}

// Port is that of a resolver's socket.
func Port(f *os.File) (uint16, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var at unix.Sockaddr
	var failed error
	err = raw.Control(func(fd uintptr) { at, failed = unix.Getsockname(int(fd)) })
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("cannot find the port of a resolver's socket: %w", err)
	}
	four, ok := at.(*unix.SockaddrInet4)
	if !ok {
		return 0, errors.New("a resolver's socket is not of IPv4")
	}
	return uint16(four.Port), nil
}
