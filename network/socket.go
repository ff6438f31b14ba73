package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// message is one rtnetlink request (rtnetlink(7)): a fixed header such as
// ifinfomsg, then attributes.
type message struct {
	kind  uint16
	flags uint16
	parts []nl.NetlinkRequestData
}

// socket is an rtnetlink socket in the namespace of the thread that opened it.
// Requests are answered before sendto returns, so its reads never wait for
// anything but the kernel's own locks.
type socket struct {
	mu  sync.Mutex // one request and its answers at a time
	fd  int
	seq uint32
	buf []byte
}

// bufferSize in bytes is what the kernel recommends for dumps.
const bufferSize = 32 << 10

func openSocket() (*socket, error) { return openNetlink(unix.NETLINK_ROUTE) }

// openNetlink opens one of another family of requests (netlink(7)).
func openNetlink(family int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	// Short acknowledgements with a text; both only make errors better.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot bind a netlink socket: %w", err)
	}
	return &socket{fd: fd, buf: make([]byte, bufferSize)}, nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// requestError is the answer to one message of a batch.
type requestError struct {
	index int
	errno unix.Errno
	text  string
}

func (e *requestError) Error() string {
	if e.text != "" {
		return fmt.Sprintf("%v (%s)", e.errno, e.text)
	}
	return e.errno.Error()
}

func (e *requestError) Unwrap() error { return e.errno }

// batch sends all messages at once and waits for all answers. The kernel goes
// on after a message that fails; the first failure is returned.
func (s *socket) batch(msgs ...message) error {
	errs, err := s.each(msgs...)
	if err != nil {
		return err
	}
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// each is batch with one answer per message, nil for success.
func (s *socket) each(msgs ...message) ([]*requestError, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.seq + 1
	for i := range msgs {
		msgs[i].flags |= unix.NLM_F_ACK
	}
	if err := s.send(msgs); err != nil {
		return nil, err
	}
	errs := make([]*requestError, len(msgs))
	for left := len(msgs); left > 0; {
		err := s.receive(func(h unix.NlMsghdr, body []byte) (bool, error) {
			if h.Type != unix.NLMSG_ERROR || h.Seq < first || h.Seq > s.seq {
				return false, nil
			}
			left--
			errs[h.Seq-first] = parseAck(int(h.Seq-first), h.Flags, body)
			return left == 0, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return errs, nil
}

// ask sends one request and calls found with the body of each answer, until
// the answer is complete. The body is valid during the call only.
func (s *socket) ask(m message, found func(body []byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dump := m.flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	if err := s.send([]message{m}); err != nil {
		return err
	}
	seq := s.seq
	for {
		done := false
		err := s.receive(func(h unix.NlMsghdr, body []byte) (bool, error) {
			if h.Seq != seq {
				return false, nil
			}
			switch h.Type {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done = true
				if e := parseAck(0, h.Flags, body); e != nil {
					return true, e
				}
			default:
				found(body)
				done = !dump
			}
			return done, nil
		})
		if err != nil || done {
			return err
		}
	}
}

func (s *socket) send(msgs []message) error {
	var out []byte
	for _, m := range msgs {
		s.seq++
		at := len(out)
		out = append(out, make([]byte, unix.SizeofNlMsghdr)...)
		for _, p := range m.parts {
			out = append(out, p.Serialize()...)
			out = append(out, make([]byte, align(len(out))-len(out))...)
		}
		h := out[at:]
		binary.NativeEndian.PutUint32(h[0:], uint32(len(out)-at))
		binary.NativeEndian.PutUint16(h[4:], m.kind)
		binary.NativeEndian.PutUint16(h[6:], m.flags|unix.NLM_F_REQUEST)
		binary.NativeEndian.PutUint32(h[8:], s.seq)
	}
	if err := fault.Errno("netlink:send"); err != nil {
		return err
	}
	defer fault.Point("netlink:sent")
	return retry(func() error {
		return unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
}

// receive reads one datagram and walks its messages until each says stop.
func (s *socket) receive(each func(unix.NlMsghdr, []byte) (stop bool, err error)) error {
	n := 0
	err := retry(func() (err error) {
		n, _, err = unix.Recvfrom(s.fd, s.buf, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot read from netlink: %w", err)
	}
	for b := s.buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
		h := unix.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(b[0:]),
			Type:  binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]),
			Seq:   binary.NativeEndian.Uint32(b[8:]),
		}
		if int(h.Len) < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
			return errors.New("cannot read from netlink: short message")
		}
		stop, err := each(h, b[unix.SizeofNlMsghdr:h.Len])
		if stop || err != nil {
			return err
		}
		b = b[min(align(int(h.Len)), len(b)):]
	}
	return nil
}

// nlmFAckTLVs and nlmsgErrText are from linux/netlink.h: attributes follow the
// error, and one of them is a text.
const (
	nlmFAckTLVs  = 0x200
	nlmsgErrText = 1
)

// parseAck reads an nlmsgerr; nil means success.
func parseAck(index int, flags uint16, body []byte) *requestError {
	if len(body) < 4 {
		return &requestError{index: index, errno: unix.EBADMSG}
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code == 0 {
		return nil
	}
	e := &requestError{index: index, errno: unix.Errno(-code)}
	if at := 4 + unix.SizeofNlMsghdr; flags&nlmFAckTLVs != 0 && len(body) > at {
		for k, v := range attributes(body[at:]) {
			if k == nlmsgErrText {
				e.text = text(v)
			}
		}
	}
	return e
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
