package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// These tests use loopback only, so they need no root: 127.0.0.11 is an
// address of every host's lo.

const generous = time.Minute

// serve runs a server for asker and returns where it answers.
func serve(t *testing.T, lookup Lookup, asker string) (udp, tcp string) {
	t.Helper()
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- NewServer(lookup, slog.New(slog.DiscardHandler)).Serve(ctx, asker, s)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return at(s.UDPPort), at(s.TCPPort)
}

func at(port uint16) string { return netip.AddrPortFrom(Addr(), port).String() }

func exchangeWith(t *testing.T, network, at, name string, kind uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	c := dns.Client{Net: network, Timeout: generous}
	m, _, err := c.Exchange(q, at)
	if err != nil {
		t.Fatalf("%s %s: %v", network, name, err)
	}
	return m
}

// upstream answers with handle on UDP and TCP of one port on loopback.
func upstream(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		l.Close()
		return upstream(t, handle) // the UDP port beside the TCP one is in use
	}
	done := make(chan struct{}, 2)
	servers := []*dns.Server{{Listener: l}, {PacketConn: p}}
	for _, s := range servers {
		s.Handler = dns.HandlerFunc(handle)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe(); done <- struct{}{} }()
		<-started
	}
	t.Cleanup(func() {
		for _, s := range servers {
			_ = s.Shutdown()
			<-done
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func answerWith(code int, addrs ...string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, code)
		for _, a := range addrs {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.ParseIP(a),
			})
		}
		_ = w.WriteMsg(m)
	}
}

func TestNamesAreAnsweredOverUDPAndTCP(t *testing.T) {
	udp, tcp := serve(t, shop(), "web1")
	for network, at := range map[string]string{"udp": udp, "tcp": tcp} {
		if m := exchangeWith(t, network, at, "web.", dns.TypeA); len(m.Answer) != 2 {
			t.Errorf("%s: %s", network, show(m))
		}
	}
}

func TestManyReplicasComeByTCP(t *testing.T) {
	b := shop()
	for i := range 100 {
		b.Put(fmt.Sprint("many", i), Container{Places: []Member{{
			Network: "shop_front", Addr: netip.AddrFrom4([4]byte{10, 128, 9, byte(i)}), Names: []string{"many"},
		}}})
	}
	udp, tcp := serve(t, b, "web1")
	m := exchangeWith(t, "udp", udp, "many.", dns.TypeA)
	m.Compress = true // as it came
	if !m.Truncated || len(m.Answer) == 0 || m.Len() > 512 {
		t.Errorf("udp: truncated %v, %d answers, %d bytes", m.Truncated, len(m.Answer), m.Len())
	}
	if m := exchangeWith(t, "tcp", tcp, "many.", dns.TypeA); m.Truncated || len(m.Answer) != 100 {
		t.Errorf("tcp: truncated %v, %d answers", m.Truncated, len(m.Answer))
	}
}

func TestForeignNamesAreForwarded(t *testing.T) {
	b := shop()
	b.upstreams["web1"] = []netip.AddrPort{
		upstream(t, answerWith(dns.RcodeServerFailure)),
		upstream(t, answerWith(dns.RcodeSuccess, "203.0.113.7")),
	}
	udp, tcp := serve(t, b, "web1")
	for network, at := range map[string]string{"udp": udp, "tcp": tcp} {
		if got := show(exchangeWith(t, network, at, "example.org.", dns.TypeA)); got != "NOERROR; example.org. 60 IN A 203.0.113.7" {
			t.Errorf("%s: %s", network, got)
		}
	}
}

func TestWithoutAnUpstreamThatAnswersTheServerFails(t *testing.T) {
	gone := upstream(t, answerWith(dns.RcodeSuccess))
	b := shop()
	b.upstreams["web1"] = nil
	b.upstreams["web2"] = []netip.AddrPort{netip.AddrPortFrom(gone.Addr(), freePort(t))}
	for _, asker := range []string{"web1", "web2"} {
		udp, tcp := serve(t, b, asker)
		for network, at := range map[string]string{"udp": udp, "tcp": tcp} {
			if got := show(exchangeWith(t, network, at, "example.org.", dns.TypeA)); got != "SERVFAIL" {
				t.Errorf("%s %s: %s", asker, network, got)
			}
		}
	}
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func TestForgedAnswersAreNotBelieved(t *testing.T) {
	at := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		forge := func(change func(m *dns.Msg)) {
			m := new(dns.Msg)
			m.SetReply(q)
			m.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.ParseIP("198.51.100.66"),
			}}
			change(m)
			_ = w.WriteMsg(m)
		}
		forge(func(m *dns.Msg) { m.Id++ })
		forge(func(m *dns.Msg) { m.Question[0].Name = "bad.example." })
		forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
		forge(func(m *dns.Msg) { m.Response = false })
		answerWith(dns.RcodeSuccess, "203.0.113.7")(w, q)
	})
	q := new(dns.Msg)
	q.SetQuestion("example.org.", dns.TypeA)
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Forward(context.Background(), "udp", raw, []netip.AddrPort{at})
	if err != nil {
		t.Fatal(err)
	}
	var m dns.Msg
	if err := m.Unpack(answer); err != nil {
		t.Fatal(err)
	}
	if got := show(&m); got != "NOERROR; example.org. 60 IN A 203.0.113.7" || m.Id != q.Id {
		t.Errorf("got %s, id %d, want id %d", got, m.Id, q.Id)
	}
}

func TestALookupWhileNobodyServesIsAnsweredLate(t *testing.T) {
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("udp4", at(s.UDPPort))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- NewServer(shop(), slog.New(slog.DiscardHandler)).Serve(ctx, "web1", s) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 { // a daemon, and its successor on the same descriptors
		conn := &dns.Conn{Conn: c}
		_ = c.SetDeadline(time.Now().Add(generous))
		q := new(dns.Msg)
		q.SetQuestion("web.", dns.TypeA)
		if err := conn.WriteMsg(q); err != nil {
			t.Fatal(err)
		}
		stop := run()
		m, err := conn.ReadMsg()
		if err != nil || len(m.Answer) != 2 {
			t.Errorf("got %v, %v", m, err)
		}
		stop()
	}
}

func TestNoiseDoesNotStopTheServer(t *testing.T) {
	udp, tcp := serve(t, shop(), "web1")
	c, err := net.Dial("udp4", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range [][]byte{{}, {1}, make([]byte, 5000)} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	d, err := net.Dial("tcp4", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_ = d.SetDeadline(time.Now().Add(generous))
	if _, err := d.Write([]byte{0, 3, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection with noise: %v, want its end", err)
	}
	if m := exchangeWith(t, "udp", udp, "web.", dns.TypeA); len(m.Answer) != 2 {
		t.Error(show(m))
	}
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	f := NewFile(path)
	for _, want := range []string{"", "192.0.2.1:53", "192.0.2.53:53", ""} {
		if want == "" {
			_ = os.Remove(path)
		} else {
			line := "nameserver " + netip.MustParseAddrPort(want).Addr().String() + "\n"
			if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := f.Config()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(c.Servers) > 0 {
			got = c.Servers[0].String()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func BenchmarkAnswers(b *testing.B) {
	s, err := Listen()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(shop(), slog.New(slog.DiscardHandler)).Serve(ctx, "web1", s) }()
	defer func() { cancel(); <-done }()
	q := new(dns.Msg)
	q.SetQuestion("shop-web-1.", dns.TypeA)
	raw, err := q.Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(8) // × GOMAXPROCS clients
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp4", at(s.UDPPort))
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 512)
		for pb.Next() {
			if _, err := c.Write(raw); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
