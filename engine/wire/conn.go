package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	headerSize = 8
	// MaxBody is the largest body of a frame in bytes.
	MaxBody = 16 << 20
	// MaxFiles is the largest number of descriptors in one frame: the
	// kernel's SCM_MAX_FD, unix(7).
	MaxFiles = 253
)

// Conn sends and receives frames on one unix stream socket. Send may be
// called by many goroutines, Receive by one at a time.
type Conn struct {
	file *os.File
	raw  rawConn

	sendMu sync.Mutex // held for a whole frame
	closed atomic.Bool
}

type rawConn interface {
	Read(func(fd uintptr) bool) error
	Write(func(fd uintptr) bool) error
	Control(func(fd uintptr)) error
}

// NewConn takes over the descriptor fd of a connected unix stream socket.
func NewConn(fd int) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("cannot use socket %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "wire")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot use socket %d: %w", fd, err), file.Close())
	}
	return &Conn{file: file, raw: raw}, nil
}

// Pair returns the descriptors of a connected pair, both close-on-exec.
func Pair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	return fds[0], fds[1], nil
}

// Close ends the connection; a Receive that waits returns.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}

// Control calls f with the descriptor of the socket, for socket options.
func (c *Conn) Control(f func(fd uintptr)) error { return c.raw.Control(f) }

// Send writes one frame. The descriptors are duplicated into the receiver;
// the caller keeps and closes its own. The error is os.ErrClosed when this side has
// closed.
func (c *Conn) Send(body []byte, files ...int) error {
	if len(body) > MaxBody {
		return fmt.Errorf("cannot send a message of %d bytes: limit is %d", len(body), MaxBody)
	}
	if len(files) > MaxFiles {
		return fmt.Errorf("cannot send %d descriptors: limit is %d", len(files), MaxFiles)
	}
	frame := make([]byte, headerSize, headerSize+len(body))
	binary.LittleEndian.PutUint32(frame, uint32(len(body)))
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(files)))
	frame = append(frame, body...)
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}

	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	for len(frame) > 0 {
		var n int
		var sendErr error
		err := c.raw.Write(func(fd uintptr) bool {
			n, sendErr = unix.SendmsgN(int(fd), frame, rights, nil, unix.MSG_NOSIGNAL)
			return sendErr != unix.EAGAIN
		})
		if err == nil {
			err = sendErr
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot send: %w", c.named(err))
		}
		rights = nil // they went with the first byte
		frame = frame[n:]
	}
	return nil
}

// Receive reads one frame. The descriptors are the caller's, close-on-exec.
// It returns io.EOF when the other side has closed between two frames,
// os.ErrClosed when this side has.
func (c *Conn) Receive() (body []byte, files []*os.File, err error) {
	header := make([]byte, headerSize)
	fds, err := c.readHeader(header)
	if err != nil {
		closeAll(fds)
		return nil, nil, c.named(err)
	}
	size := binary.LittleEndian.Uint32(header)
	count := binary.LittleEndian.Uint32(header[4:])
	if size > MaxBody || int(count) != len(fds) {
		closeAll(fds)
		return nil, nil, fmt.Errorf("cannot receive: bad frame of %d bytes with %d of %d descriptors", size, len(fds), count)
	}
	body = make([]byte, size)
	if err := c.readFull(body); err != nil {
		closeAll(fds)
		return nil, nil, c.named(err)
	}
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "passed"))
	}
	return body, files, nil
}

// named gives the error of a connection that was closed on this side its name:
// the raw connection's own has none.
func (c *Conn) named(err error) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// readHeader reads the header and the descriptors that lie at its first byte.
func (c *Conn) readHeader(header []byte) (fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(MaxFiles*4))
	for got := 0; got < len(header); {
		var n, oobn, flags int
		var recvErr error
		err := c.raw.Read(func(fd uintptr) bool {
			n, oobn, flags, _, recvErr = unix.Recvmsg(int(fd), header[got:], oob, unix.MSG_CMSG_CLOEXEC)
			return recvErr != unix.EAGAIN
		})
		if err == nil {
			err = recvErr
		}
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fds, fmt.Errorf("cannot receive: %w", err)
		}
		if oobn > 0 {
			passed, err := parseRights(oob[:oobn])
			fds = append(fds, passed...)
			if err != nil {
				return fds, err
			}
		}
		if flags&unix.MSG_CTRUNC != 0 {
			return fds, errors.New("cannot receive: descriptors were cut off (is the limit of open files reached?)")
		}
		if n == 0 {
			if got == 0 {
				return fds, io.EOF
			}
			return fds, io.ErrUnexpectedEOF
		}
		got += n
	}
	return fds, nil
}

func (c *Conn) readFull(body []byte) error {
	for len(body) > 0 {
		n, err := c.file.Read(body)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("cannot receive: %w", err)
		}
		body = body[n:]
	}
	return nil
}

func parseRights(oob []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("cannot parse control message: %w", err)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		passed, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fds, fmt.Errorf("cannot parse descriptors: %w", err)
		}
		fds = append(fds, passed...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
