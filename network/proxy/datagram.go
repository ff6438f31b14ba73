package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a UDP entry.
const (
	maxFlows    = 1024             // clients at once; further ones are not served
	flowIdle    = 90 * time.Second // after its last answer a client is forgotten
	maxDatagram = 64 << 10         // bytes
)

// relay is one UDP entry at work: it has a socket towards the container for
// each client, so that the container's answer finds its way back.
//
//	client ─▶ file ─▶ flow's own socket ─▶ container
//	client ◀─ file ◀─ flow's own socket ◀─ container
type relay struct {
	id     string
	target Target
	file   *os.File
	raw    syscall.RawConn
	ended  chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	stopped bool
	flows   map[client]*os.File
	running sync.WaitGroup
}

// client is who asks, and the address of ours that was asked: the answer comes
// from there. IPv4 addresses (four) stand at the beginning.
type client struct {
	four        bool
	addr, local [16]byte
	zone        uint32
	port        int
}

// receivePktinfo has each datagram come with the address that it was sent to.
func receivePktinfo(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if domain == unix.AF_INET {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}

// answer is what sendmsg(2) wants to answer the client.
func (c client) answer() (oob []byte, to unix.Sockaddr) {
	if c.four {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(c.local[:4])}), &unix.SockaddrInet4{Addr: [4]byte(c.addr[:4]), Port: c.port}
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: c.local}), &unix.SockaddrInet6{Addr: c.addr, ZoneId: c.zone, Port: c.port}
}

func relayed(e Entry, own int) (*relay, error) {
	if err := receivePktinfo(own); err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("cannot copy datagrams for %s: %w", e.ID, err)
	}
	f := os.NewFile(uintptr(own), "datagrams "+e.ID)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot copy datagrams for %s: %w", e.ID, err)
	}
	e.Listener.Close()
	return &relay{
		id: e.ID, target: e.Target, file: f, raw: raw,
		ended: make(chan struct{}), flows: map[client]*os.File{},
	}, nil
}

// serve copies until stop.
func (r *relay) serve(report Report) {
	buf, oob := make([]byte, maxDatagram), make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	for {
		n, from, err := r.receive(buf, oob)
		if r.isStopped() {
			break
		}
		if err != nil {
			report(r.id, fmt.Errorf("cannot read a datagram: %w", err))
			time.Sleep(pause)
			continue
		}
		to, err := r.flow(from)
		if err != nil {
			report(r.id, fmt.Errorf("cannot reach the container: %w", err))
			continue
		}
		if to != nil {
			_, _ = to.Write(buf[:n]) // as any datagram it may be lost
		}
	}
	close(r.ended)
	r.running.Wait()
}

// receive waits for the next datagram.
func (r *relay) receive(buf, oob []byte) (n int, from client, err error) {
	waited := r.raw.Read(func(fd uintptr) bool {
		var meta int
		var sa unix.Sockaddr
		n, meta, _, sa, err = unix.Recvmsg(int(fd), buf, oob, 0)
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		switch s := sa.(type) {
		case *unix.SockaddrInet4:
			from = client{four: true, port: s.Port, local: localOf(oob[:meta])}
			copy(from.addr[:], s.Addr[:])
		case *unix.SockaddrInet6:
			from = client{addr: s.Addr, zone: s.ZoneId, port: s.Port, local: localOf(oob[:meta])}
		}
		return true
	})
	if waited != nil {
		return 0, client{}, waited
	}
	return n, from, err
}

// localOf finds the address that a datagram was sent to.
func localOf(oob []byte) (addr [16]byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return addr
	}
	for _, m := range messages {
		// struct in_pktinfo: the link, our address, and the one in the header.
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo {
			copy(addr[:], m.Data[4:8])
		}
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= len(addr) {
			copy(addr[:], m.Data)
		}
	}
	return addr
}

// flow is the socket towards the container for a client; nil if there are too
// many.
func (r *relay) flow(from client) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flows[from]; f != nil {
		_ = f.SetReadDeadline(time.Now().Add(flowIdle))
		return f, nil
	}
	if r.stopped || len(r.flows) >= maxFlows {
		return nil, nil
	}
	fd, err := unix.Socket(r.target.domain(), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, r.target.sockaddr()); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "container")
	_ = f.SetReadDeadline(time.Now().Add(flowIdle))
	r.flows[from] = f
	r.running.Go(func() { r.answer(f, from) })
	return f, nil
}

// answer sends back what the container says, until it has been silent for long
// or the relay stops.
func (r *relay) answer(f *os.File, to client) {
	defer func() {
		r.mu.Lock()
		delete(r.flows, to)
		r.mu.Unlock()
		f.Close()
	}()
	buf := make([]byte, maxDatagram)
	oob, address := to.answer()
	for {
		n, err := f.Read(buf)
		if errors.Is(err, io.EOF) {
			n, err = 0, nil // an empty datagram
		}
		if errors.Is(err, unix.ECONNREFUSED) {
			continue // nobody listens in the container, yet
		}
		if err != nil {
			return
		}
		_ = f.SetReadDeadline(time.Now().Add(flowIdle))
		_ = r.raw.Control(func(fd uintptr) {
			_ = unix.Sendmsg(int(fd), buf[:n], oob, address, unix.MSG_DONTWAIT)
		})
	}
}

// stop ends the copying. When it returns, nothing of r touches the socket any
// more.
func (r *relay) stop() {
	r.mu.Lock()
	r.stopped = true
	for _, f := range r.flows {
		_ = f.SetReadDeadline(time.Unix(1, 0))
	}
	r.mu.Unlock()
	r.file.Close()
	<-r.ended
}

func (r *relay) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}
