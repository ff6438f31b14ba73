package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds. A container that asks without end is slowed down, not its neighbours.
const (
	maxForwards      = 1024 // questions that wait for an upstream, all containers
	maxAskerForwards = 128  // the same, one container
	maxAskerConns    = 64   // TCP connections of one container
	tcpIdle          = 10 * time.Second
	maxUDPQuery      = 4096 // bytes; a longer question is cut and refused
)

// Server answers on the sockets of many containers.
type Server struct {
	lookup   Lookup
	log      *slog.Logger
	forwards chan struct{}
	batches  batches
}

// NewServer answers with what lookup knows.
func NewServer(lookup Lookup, log *slog.Logger) *Server {
	return &Server{lookup: lookup, log: log, forwards: make(chan struct{}, maxForwards)}
}

// Serve answers the questions of one container until ctx ends, which is no
// error, and returns when the last of its own goroutines has ended. It works on
// duplicates: the descriptors stay the caller's, and questions that come while
// nobody serves wait in them.
func (s *Server) Serve(ctx context.Context, asker string, sockets Sockets) error {
	packets, listener, err := connect(sockets)
	if err != nil {
		return fmt.Errorf("cannot answer names for %s: %w", asker, err)
	}
	a := &session{
		server: s, asker: asker, packets: packets,
		forwards: make(chan struct{}, maxAskerForwards),
		conns:    make(chan struct{}, maxAskerConns),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var errUDP, errTCP error
	stop := context.AfterFunc(ctx, func() {
		packets.Close()
		listener.Close()
	})
	defer stop()
	group.Go(func() {
		defer cancel()
		errUDP = a.serveUDP(ctx)
	})
	group.Go(func() {
		defer cancel()
		errTCP = a.serveTCP(ctx, listener)
	})
	group.Wait()
	a.handlers.Wait()
	packets.Close()
	listener.Close()
	if err := errors.Join(errUDP, errTCP); err != nil {
		return fmt.Errorf("cannot answer names for %s: %w", asker, err)
	}
	return nil
}

func connect(sockets Sockets) (*net.UDPConn, net.Listener, error) {
	packets, err := net.FilePacketConn(sockets.UDP)
	if err != nil {
		return nil, nil, err
	}
	udp, ok := packets.(*net.UDPConn)
	if !ok {
		packets.Close()
		return nil, nil, errors.New("the UDP descriptor is not a UDP socket")
	}
	listener, err := net.FileListener(sockets.TCP)
	if err != nil {
		udp.Close()
		return nil, nil, err
	}
	return udp, listener, nil
}

// session is one container's questions.
type session struct {
	server   *Server
	asker    string
	packets  *net.UDPConn
	forwards chan struct{}
	conns    chan struct{}
	handlers sync.WaitGroup
}

func (a *session) serveUDP(ctx context.Context) error {
	conn, err := a.packets.SyscallConn()
	if err != nil {
		return err
	}
	for {
		b, err := a.server.batches.receive(conn)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		for i := range b.n {
			a.answerUDP(ctx, &b.list[i])
		}
		b.send(conn)
		a.server.batches.free(b)
	}
}

// answerUDP answers a question of ours; another is forwarded, and what is none
// gets nothing.
func (a *session) answerUDP(ctx context.Context, d *datagram) {
	var ok bool
	if d.answer, ok = quick(d.answer, d.raw(), a.server.lookup, a.asker, shuffle); ok {
		return
	}
	d.answer = d.answer[:0]
	var query dns.Msg
	if query.Unpack(d.raw()) != nil || query.Response {
		return
	}
	m := Answer(&query, a.server.lookup, a.asker, shuffle)
	if m == nil {
		a.forwardUDP(ctx, bytes.Clone(d.raw()), &query, d.asker())
		return
	}
	if m.Truncate(limit(&query)); m.Truncated {
		m.Compress = true
	}
	if packed, err := m.Pack(); err == nil {
		d.answer = packed
	}
}

// forwardUDP asks upstream beside, so that our own names are never behind it.
func (a *session) forwardUDP(ctx context.Context, raw []byte, query *dns.Msg, from netip.AddrPort) {
	release, ok := a.admit()
	if !ok {
		a.fail(query, from)
		return
	}
	size := limit(query)
	refused := failure(query, dns.RcodeServerFailure)
	a.handlers.Go(func() {
		defer release()
		answer, err := a.forward(ctx, "udp", raw)
		if err == nil && len(answer) > size {
			answer, err = shorten(answer, size)
		}
		if err != nil {
			if answer, err = refused.Pack(); err != nil {
				return
			}
		}
		_, _ = a.packets.WriteToUDPAddrPort(answer, from)
	})
}

func (a *session) fail(query *dns.Msg, to netip.AddrPort) {
	if packed, err := failure(query, dns.RcodeServerFailure).Pack(); err == nil {
		_, _ = a.packets.WriteToUDPAddrPort(packed, to)
	}
}

// admit takes a place among the questions in flight.
func (a *session) admit() (release func(), ok bool) {
	select {
	case a.forwards <- struct{}{}:
	default:
		return nil, false
	}
	select {
	case a.server.forwards <- struct{}{}:
	default:
		<-a.forwards
		return nil, false
	}
	return func() { <-a.server.forwards; <-a.forwards }, true
}

func (a *session) forward(ctx context.Context, network string, raw []byte) ([]byte, error) {
	upstreams, _ := a.server.lookup.Upstreams(a.asker)
	answer, err := Forward(ctx, network, raw, upstreams)
	if err != nil && ctx.Err() == nil {
		a.server.log.Debug("name not answered by any upstream", "container", a.asker, "err", err)
	}
	return answer, err
}

func (a *session) serveTCP(ctx context.Context, l net.Listener) error {
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			// Aborted before it was accepted, or out of descriptors.
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		select {
		case a.conns <- struct{}{}:
		default:
			c.Close()
			continue
		}
		a.handlers.Go(func() {
			defer func() { <-a.conns }()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			defer c.Close()
			a.converse(ctx, c)
		})
	}
}

// converse answers the questions of one connection in their order.
func (a *session) converse(ctx context.Context, c net.Conn) {
	for {
		_ = c.SetDeadline(time.Now().Add(tcpIdle))
		raw, err := readTCP(c)
		if err != nil {
			return
		}
		answer, err := a.answerTCP(ctx, raw)
		if err != nil || writeTCP(c, answer) != nil {
			return
		}
	}
}

func (a *session) answerTCP(ctx context.Context, raw []byte) ([]byte, error) {
	var query dns.Msg
	if err := query.Unpack(raw); err != nil {
		return nil, err
	}
	if query.Response {
		return nil, errors.New("not a question")
	}
	m := Answer(&query, a.server.lookup, a.asker, shuffle)
	if m == nil {
		release, ok := a.admit()
		if ok {
			answer, err := a.forward(ctx, "tcp", raw)
			release()
			if err == nil {
				return answer, nil
			}
		}
		m = failure(&query, dns.RcodeServerFailure)
	}
	m.Compress = true
	return m.Pack()
}

func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}

func writeTCP(w io.Writer, raw []byte) error {
	if len(raw) > 0xffff {
		return errors.New("message longer than 65535 bytes")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
	return err
}

func shuffle(addrs []netip.Addr) {
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
}
