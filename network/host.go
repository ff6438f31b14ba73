package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Host is the network namespace that bridges stand in, normally the machine's
// own. Its methods may be called from several goroutines.
type Host struct {
	ns   *os.File // nil: the namespace of the process
	sock *socket
}

// Open gives the host of the calling thread's namespace.
func Open() (*Host, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	return &Host{sock: s}, nil
}

// OpenIn gives another namespace as host, which tests use. ns stays the
// caller's and must stay open.
func OpenIn(ns *os.File) (*Host, error) {
	h := &Host{ns: ns}
	err := Do(ns, func() (err error) {
		h.sock, err = openSocket()
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close frees the host's socket; what was made stays.
func (h *Host) Close() error { return h.sock.close() }

// inside runs fn where the host's settings below /proc/sys/net are.
func (h *Host) inside(fn func() error) error {
	if h.ns == nil {
		return fn()
	}
	return Do(h.ns, fn)
}

// LinkName is a fresh name for a link: prefix and five random characters. The
// prefix has at most ten bytes, as the kernel allows 15 in all.
func LinkName(prefix string) string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return prefix + string(b)
}

func checkLinkName(name string) error {
	if name == "" || len(name) > 15 {
		return errors.New("a link name has 1 to 15 bytes")
	}
	return nil
}

// checkAddresses says why a link cannot have these addresses.
func checkAddresses(list []netip.Prefix) error {
	if len(list) == 0 || !list[0].IsValid() {
		return errors.New("no address is given")
	}
	for _, p := range list {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("%s is no address", p)
		}
	}
	return nil
}

func isErrno(err error, errno unix.Errno) bool { return errors.Is(err, errno) }
