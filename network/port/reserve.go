package port

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Protocol is "tcp" or "udp".
type Protocol string

// The protocols that have ports here.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Binding is a place on the host.
type Binding struct {
	Protocol Protocol
	// Addr is an address of the host, or 0.0.0.0 or :: for all of one family.
	Addr netip.Addr
	// Port 0 lets the kernel choose.
	Port uint16
}

func (b Binding) String() string {
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(b.Addr, b.Port), b.Protocol)
}

// TakenError says that a port is in use. Whose it is costs a walk over all
// descriptors of all processes, so that Owner is asked by those who tell it.
type TakenError struct {
	Binding Binding
}

func (e *TakenError) Error() string { return "the port is in use" }

// Reserve binds b in the calling thread's network namespace and returns the
// socket, which does not listen unless only connections in TIME_WAIT stood in
// the way (then it must, as SO_REUSEADDR alone reserves nothing). A port that
// another socket has gives a TakenError inside the error.
func Reserve(b Binding) (*os.File, error) {
	f, err := reserve(b)
	if errors.Is(err, unix.EADDRINUSE) {
		err = &TakenError{Binding: b}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %s: %w", b, err)
	}
	return f, nil
}

// ReserveIn reserves the first free port of from to to, both included, and
// says which. If none is free, the error is that of the last.
func ReserveIn(b Binding, from, to uint16) (*os.File, uint16, error) {
	if from == 0 || to < from {
		return nil, 0, fmt.Errorf("cannot reserve a port of %d-%d: not a range", from, to)
	}
	for p := int(from); ; p++ {
		b.Port = uint16(p)
		f, err := reserve(b)
		if err == nil {
			return f, b.Port, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, 0, fmt.Errorf("cannot reserve %s: %w", b, err)
		}
		if p == int(to) {
			return nil, 0, fmt.Errorf("cannot reserve a port of %s %d-%d: all are in use", b.Addr, from, to)
		}
	}
}

// Number is the port that a reservation holds, for one made with port 0.
func Number(f *os.File) (uint16, error) {
	n, err := number(int(f.Fd()))
	if err != nil {
		return 0, fmt.Errorf("cannot read the port of a reservation: %w", err)
	}
	return n, nil
}

func number(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, errors.New("not an internet socket")
}

func reserve(b Binding) (*os.File, error) {
	kind := unix.SOCK_STREAM
	switch b.Protocol {
	case TCP:
	case UDP:
		kind = unix.SOCK_DGRAM
	default:
		return nil, fmt.Errorf("protocol %q is not tcp or udp", b.Protocol)
	}
	if !b.Addr.IsValid() {
		return nil, errors.New("no address is given")
	}
	bind := func() (int, error) { return bound(b, kind, false) }
	if b.Port == 0 {
		bind = func() (int, error) { return chosen(b, kind) }
	}
	fd, err := bind()
	if errors.Is(err, unix.EADDRINUSE) && b.Protocol == TCP {
		// Only TIME_WAIT in the way: then this bind and listen succeed. A
		// socket that listens, or one bound without SO_REUSEADDR, fails them.
		if fd, err = bound(b, kind, true); err == nil {
			if err = unix.Listen(fd, 1); err != nil {
				unix.Close(fd)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "port "+b.String()), nil
}

// chosen binds a port that the kernel picks, but by its number: a socket bound
// to port 0 gives its port up when it stops listening (SOCK_BINDPORT_LOCK is
// not set), and the proxy stops and starts on the same socket.
func chosen(b Binding, kind int) (int, error) {
	const tries = 20
	var err error
	for range tries {
		var fd int
		if fd, err = bound(b, kind, false); err != nil {
			return -1, err
		}
		n, failed := number(fd)
		unix.Close(fd)
		if failed != nil {
			return -1, failed
		}
		at := b
		at.Port = n
		if fd, err = bound(at, kind, false); !errors.Is(err, unix.EADDRINUSE) {
			return fd, err
		}
	}
	return -1, err
}

// bound is a socket bound to b.
func bound(b Binding, kind int, reuse bool) (int, error) {
	family := unix.AF_INET
	var sa unix.Sockaddr
	if b.Addr.Is4() {
		sa = &unix.SockaddrInet4{Port: int(b.Port), Addr: b.Addr.As4()}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(b.Port), Addr: b.Addr.As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && reuse {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil && kind == unix.SOCK_DGRAM {
		// Nothing is ever read here: keep what strays in from piling up.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
