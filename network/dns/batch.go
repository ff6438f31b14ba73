package dns

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many questions are read, and answers written, in one system
// call. With more, those who ask and we would take turns: they would all wait for
// a batch while it is answered, and we for them.
const batchSize = 8

// batch is what lies in a container's UDP socket: questions that are read
// together (recvmmsg(2)) and answered together (sendmmsg(2)).
type batch struct {
	list  [batchSize]datagram
	heads [batchSize]mmsghdr
	n     int // questions in it
}

// datagram is one question and its answer; an empty one is not sent.
type datagram struct {
	question [maxUDPQuery]byte
	size     int
	answer   []byte
	from     unix.RawSockaddrInet4
	iov      unix.Iovec
}

// mmsghdr is the kernel's, see recvmmsg(2).
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

// raw is the question as it came.
func (d *datagram) raw() []byte { return d.question[:d.size] }

// asker is the address that the question came from.
func (d *datagram) asker() netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&d.from.Port)) // in network order
	return netip.AddrPortFrom(netip.AddrFrom4(d.from.Addr), uint16(port[0])<<8|uint16(port[1]))
}

// batches are at hand for those who have something to read: a container that
// asks nothing holds none.
type batches struct{ pool sync.Pool }

func (p *batches) take() *batch {
	if b, ok := p.pool.Get().(*batch); ok {
		return b
	}
	return new(batch)
}

// free gives a batch back.
func (p *batches) free(b *batch) { p.pool.Put(b) }

// receive waits for questions and takes all that are there. The batch is to be
// freed.
func (p *batches) receive(conn syscall.RawConn) (*batch, error) {
	var b *batch
	var failed error
	err := conn.Read(func(fd uintptr) bool {
		b = p.take()
		if failed = b.read(fd); failed == nil {
			return true
		}
		p.free(b)
		b = nil
		return !errors.Is(failed, unix.EAGAIN)
	})
	return b, errors.Join(err, failed)
}

func (b *batch) read(fd uintptr) error {
	for i := range b.list {
		d := &b.list[i]
		b.point(i, d, d.question[:])
	}
	n, err := b.call(unix.SYS_RECVMMSG, fd, 0, batchSize)
	if err != nil {
		return err
	}
	b.n = n
	for i := range n {
		b.list[i].size, b.list[i].answer = int(b.heads[i].size), b.list[i].answer[:0]
	}
	return nil
}

// send writes the answers. One that cannot be sent is lost, as it may be with
// UDP; the others go.
func (b *batch) send(conn syscall.RawConn) {
	count := 0
	for i := range b.n {
		if d := &b.list[i]; len(d.answer) > 0 {
			b.point(count, d, d.answer)
			count++
		}
	}
	for sent := 0; sent < count; {
		err := conn.Write(func(fd uintptr) bool {
			n, err := b.call(unix.SYS_SENDMMSG, fd, sent, count)
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			if err != nil {
				n = 1 // the first of them cannot be sent
			}
			sent += n
			return true
		})
		if err != nil {
			return // closed
		}
	}
}

// point lets a head of a call lead to a datagram's address and to data.
func (b *batch) point(i int, d *datagram, data []byte) {
	d.iov.Base = &data[0]
	d.iov.SetLen(len(data))
	h := &b.heads[i].head
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.from)), Namelen: unix.SizeofSockaddrInet4, Iov: &d.iov}
	h.SetIovlen(1)
}

// call is recvmmsg or sendmmsg with a range of the heads; it does not wait.
func (b *batch) call(number, fd uintptr, from, to int) (int, error) {
	for {
		n, _, errno := unix.Syscall6(number, fd, uintptr(unsafe.Pointer(&b.heads[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
