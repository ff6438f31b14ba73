package monitor

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/wire"
)

// client is one attached stream socket. What is offered waits in a queue that
// its own goroutine writes.
type client struct {
	conn   *os.File
	framed bool

	mu       sync.Mutex
	wake     sync.Cond // queue, dead or ending have changed
	queue    []byte
	ending   bool // no more is offered: write the rest and close
	roomy    bool // push does not wait: what comes is little and the last
	dead     bool // closed; nothing is taken
	finished chan struct{}
}

// newClient returns a client and the other end of its socket.
func newClient(framed bool) (*client, *os.File, error) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(ours, true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(ours), unix.Close(theirs))
	}
	c := &client{conn: os.NewFile(uintptr(ours), "client"), framed: framed, finished: make(chan struct{})}
	c.wake.L = &c.mu
	return c, os.NewFile(uintptr(theirs), "attach"), nil
}

// frame appends data in Docker's form: stream, 0, 0, 0, length big endian.
func frame(to []byte, framed bool, stream logs.Stream, data []byte) []byte {
	if framed {
		to = append(to, byte(stream), 0, 0, 0)
		to = binary.BigEndian.AppendUint32(to, uint32(len(data)))
	}
	return append(to, data...)
}

// offer queues data and never waits. A client that lags by more than limit
// bytes is closed. It reports whether the client lives.
func (c *client) offer(stream logs.Stream, data []byte, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead && len(c.queue)+len(data) > limit {
		c.kill()
	}
	if c.dead || c.ending {
		return false
	}
	c.queue = frame(c.queue, c.framed, stream, data)
	c.wake.Broadcast()
	return true
}

// push queues data once less than limit bytes wait. It reports whether the
// client took it.
func (c *client) push(stream logs.Stream, data []byte, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.dead && !c.ending && !c.roomy && len(c.queue) >= limit {
		c.wake.Wait()
	}
	if c.dead || c.ending {
		return false
	}
	c.queue = frame(c.queue, c.framed, stream, data)
	c.wake.Broadcast()
	return true
}

// write writes the queue until the client has finished or died.
func (c *client) write() {
	defer close(c.finished)
	var block []byte
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.ending && !c.dead {
			c.wake.Wait()
		}
		if c.dead || len(c.queue) == 0 {
			c.kill()
			c.mu.Unlock()
			return
		}
		block, c.queue = c.queue, block[:0]
		if cap(c.queue) > 1<<20 {
			c.queue = nil // do not keep what a slow moment needed
		}
		c.wake.Broadcast()
		c.mu.Unlock()
		if _, err := c.conn.Write(block); err != nil {
			c.mu.Lock()
			c.kill()
			c.mu.Unlock()
			return
		}
	}
}

// makeRoom has push wait no more.
func (c *client) makeRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roomy = true
	c.wake.Broadcast()
}

// hurry has the rest lie in the socket, where the client finds it when we are
// gone, unix(7) and socket(7) SO_SNDBUFFORCE; where that is not allowed it bounds
// how long the client may take to read.
func (c *client) hurry(until time.Time) {
	c.mu.Lock()
	rest := len(c.queue)
	c.mu.Unlock()
	if raw, err := c.conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			// Twice: the block that is being written, and the queue; the
			// kernel counts its own headers too.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2*rest+4*execLag)
		})
	}
	_ = c.conn.SetWriteDeadline(until)
}

// finish lets the client read what waits and then ends it.
func (c *client) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	c.wake.Broadcast()
}

// kill closes the client; c.mu is held.
func (c *client) kill() {
	if c.dead {
		return
	}
	c.dead, c.queue = true, nil
	c.conn.Close()
	c.wake.Broadcast()
}

func (c *client) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// read copies what the client sends to stdin until the client ends. eof is
// called when the client has ended its half and still reads.
func (c *client) read(to io.Writer, eof func()) {
	block := make([]byte, 32<<10)
	for {
		n, err := c.conn.Read(block)
		if n > 0 {
			if _, err := to.Write(block[:n]); err != nil {
				to = io.Discard // the process has closed it
			}
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && c.readsOn() {
			eof()
			return
		}
		c.mu.Lock()
		c.kill()
		c.mu.Unlock()
		return
	}
}

// readsOn tells a half-closed client from one that has gone, poll(2).
func (c *client) readsOn() bool {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return false
	}
	gone := true
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd)}}
		_, pollErr := unix.Poll(poll, 0)
		gone = pollErr != nil || poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err == nil && !gone
}

// containerLag is how much of a container's output may wait for one client.
const containerLag = 4 << 20

// broadcast gives the container's output to any number of clients.
type broadcast struct {
	mu      sync.Mutex
	clients map[*client]bool
}

func newBroadcast() *broadcast { return &broadcast{clients: map[*client]bool{}} }

func (b *broadcast) add(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c] = true
}

// setFramed says whether the run that begins has a terminal: clients may have
// come before it.
func (b *broadcast) setFramed(framed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		c.mu.Lock()
		c.framed = framed
		c.mu.Unlock()
	}
}

func (b *broadcast) remove(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.clients, c)
}

func (b *broadcast) offer(stream logs.Stream, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		if !c.offer(stream, data, containerLag) {
			delete(b.clients, c)
		}
	}
}

// finish ends all clients once they have read what waits for them.
func (b *broadcast) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		c.finish()
		delete(b.clients, c)
	}
}
