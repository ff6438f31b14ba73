package network_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdns "github.com/miekg/dns"
	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// local is a zone without upstreams: nothing is forwarded.
type local struct{ *dns.Zone }

func (local) Upstreams(string) ([]netip.AddrPort, bool) { return nil, false }

// resolve asks 127.0.0.11 from inside a container and returns the sorted
// addresses, or what went wrong.
func resolve(c *kerneltest.NetNS, proto, name string) string {
	q := new(mdns.Msg)
	q.SetQuestion(name, mdns.TypeA)
	var m *mdns.Msg
	err := c.Try(func() (err error) {
		client := mdns.Client{Net: proto, Timeout: generous}
		m, _, err = client.Exchange(q, "127.0.0.11:53")
		return err
	})
	if err != nil {
		return err.Error()
	}
	var found []string
	for _, rr := range m.Answer {
		found = append(found, rr.(*mdns.A).A.String())
	}
	slices.Sort(found)
	return strings.TrimSpace(mdns.RcodeToString[m.Rcode] + " " + strings.Join(found, " "))
}

func TestContainersFindEachOtherByName(t *testing.T) {
	w := newWorld(t)
	front, back := w.network(1, false), w.network(2, false)
	zone := dns.NewZone()
	server := dns.NewServer(local{zone}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	running := 0
	t.Cleanup(func() {
		cancel()
		for range running {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	join := func(id string, last int, bridges []network.Bridge, names ...string) *kerneltest.NetNS {
		c := w.container(last, false, bridges...)
		s, err := network.ListenDNS(c.File, network.Led)
		w.must(err)
		t.Cleanup(s.Close)
		var places []dns.Member
		for _, b := range bridges {
			a := b.Addresses[0].Addr().As4()
			a[3] = byte(last)
			places = append(places, dns.Member{Network: b.Name, Addr: netip.AddrFrom4(a), Names: names})
		}
		zone.Put(id, dns.Container{Places: places})
		running++
		go func() { done <- server.Serve(ctx, id, s) }()
		return c
	}
	web := join("1", 2, []network.Bridge{front, back}, "web")
	cache := join("2", 3, []network.Bridge{front}, "cache", "redis")
	join("3", 4, []network.Bridge{front}, "cache")
	db := join("4", 5, []network.Bridge{back}, "db")

	for _, proto := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			from       *kerneltest.NetNS
			name, want string
		}{
			{web, "cache.", "NOERROR 10.128.1.3 10.128.1.4"},
			{web, "db.", "NOERROR 10.128.2.5"},
			{cache, "redis.", "NOERROR 10.128.1.3"},
			{cache, "web.", "NOERROR 10.128.1.2"},
			{cache, "db.", "NXDOMAIN"},
			{db, "web." + back.Name + ".", "NOERROR 10.128.2.2"},
			{db, "cache.", "NXDOMAIN"},
		} {
			if got := resolve(c.from, proto, c.name); got != c.want {
				t.Errorf("%s %s: got %q, want %q", proto, c.name, got, c.want)
			}
		}
	}
}

func TestTheHostGetsNoResolver(t *testing.T) {
	w := newWorld(t)
	err := w.host.Try(func() error {
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer own.Close()
		if s, err := network.ListenDNS(own, network.Led); err == nil {
			s.Close()
			t.Error("a resolver's rules were put into the host's namespace")
		}
		return nil
	})
	w.must(err)
}

func TestANewResolverTakesThePlaceOfALostOne(t *testing.T) {
	w := newWorld(t)
	c := w.container(2, false, w.network(1, false))
	for round, how := range []network.Leading{network.Led, network.Led, network.Held, network.Held} {
		s, err := network.ListenDNS(c.File, how)
		w.must(err)
		w.answersMe(c, s, fmt.Sprintf("round %d", round))
		s.Close()
	}
	// No packet of the container costs what following connections costs.
	h := w.handle(c)
	defer h.Close()
	flows, err := h.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	w.must(err)
	if len(flows) > 0 {
		t.Errorf("connections are tracked in a container that asks for names: %v", flows)
	}
}

// answersMe serves a name and asks for it inside the container.
func (w *world) answersMe(c *kerneltest.NetNS, s dns.Sockets, when string) {
	w.t.Helper()
	zone := dns.NewZone()
	zone.Put("me", dns.Container{Places: []dns.Member{{Network: "n", Addr: netip.MustParseAddr("10.128.1.2"), Names: []string{"me"}}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- dns.NewServer(local{zone}, slog.New(slog.DiscardHandler)).Serve(ctx, "me", s) }()
	for _, proto := range []string{"udp", "tcp"} {
		if got := resolve(c, proto, "me."); got != "NOERROR 10.128.1.2" {
			w.t.Errorf("%s, %s: %q", when, proto, got)
		}
	}
	cancel()
	w.must(<-done)
}

// A container that may change its own rules flushes them all, and finds names as
// before; who follows the connections of all packets in it does not disturb.
func TestNamesAreFoundWithWhateverRulesInside(t *testing.T) {
	w := newWorld(t)
	c := w.container(2, false, w.network(1, false))
	s, err := network.ListenDNS(c.File, network.Held)
	w.must(err)
	defer s.Close()
	if s.Rules == nil {
		t.Skip("needs kernel feature: nf_tables tables with an owner (Linux 5.12)")
	}
	inside, err := nftables.New(nftables.WithNetNSFd(int(c.File.Fd())))
	w.must(err)
	inside.FlushRuleset()
	w.must(inside.Flush())
	w.answersMe(c, s, "after a flush")

	// As VPN clients do: nothing but what belongs to a connection comes in.
	table := inside.AddTable(&nftables.Table{Name: "own", Family: nftables.TableFamilyIPv4})
	input := inside.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	const invalid = 1 // NF_CT_STATE_INVALID_BIT
	inside.AddRule(&nftables.Rule{Table: table, Chain: input, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(invalid), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	w.must(inside.Flush())
	w.answersMe(c, s, "with connections followed")
}

func TestAnswersAfterTheKernelForgotTheQuestion(t *testing.T) {
	w := newWorld(t)
	c := w.container(2, false, w.network(1, false))
	s, err := network.ListenDNS(c.File, network.Led)
	w.must(err)
	defer s.Close()
	zone := dns.NewZone()
	zone.Put("me", dns.Container{Places: []dns.Member{{Network: "n", Addr: netip.MustParseAddr("10.128.1.2"), Names: []string{"me"}}}})

	var conn *mdns.Conn
	c.Do(t, func() (err error) {
		conn, err = mdns.Dial("udp", "127.0.0.11:53")
		return err
	})
	defer conn.Close()
	q := new(mdns.Msg)
	q.SetQuestion("me.", mdns.TypeA)
	w.must(conn.WriteMsg(q))
	w.forgetFlows(c)

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- dns.NewServer(local{zone}, slog.New(slog.DiscardHandler)).Serve(ctx, "me", s) }()
	_ = conn.SetDeadline(time.Now().Add(generous))
	if m, err := conn.ReadMsg(); err != nil || len(m.Answer) != 1 {
		t.Errorf("got %v, %v", m, err)
	}
	cancel()
	w.must(<-done)
}

// Port 53 is led to the resolver by iptables where there is no nf_tables.
func TestPortsLeadToTheResolverByIPTables(t *testing.T) {
	w := newWorld(t)
	c := w.container(2, false, w.network(1, false))
	needIPTables(t, c)
	for range 2 { // a new resolver takes the place of the old one
		var s dns.Sockets
		c.Do(t, func() (err error) {
			if s, err = dns.Listen(); err != nil {
				return err
			}
			return firewall.LeadResolverByIPTables(dns.Addr(), s.UDPPort, s.TCPPort)
		})
		w.answersMe(c, s, "by iptables")
		s.Close()
	}
}

// A container may listen on port 53 of all its addresses itself.
func TestAContainerMayServeNamesItself(t *testing.T) {
	w := newWorld(t)
	front := w.network(1, false)
	c, other := w.container(2, false, front), w.container(3, false, front)
	s, err := network.ListenDNS(c.File, network.Led)
	w.must(err)
	zone := dns.NewZone()
	zone.Put("me", dns.Container{Places: []dns.Member{{Network: "n", Addr: netip.MustParseAddr("10.128.1.2"), Names: []string{"me"}}}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- dns.NewServer(local{zone}, slog.New(slog.DiscardHandler)).Serve(ctx, "me", s) }()
	w.serve(c, "own", 53)
	w.reaches(other, "10.128.1.2:53", "own")
	w.reaches(c, "10.128.1.2:53", "own")
	if got := resolve(c, "udp", "me."); got != "NOERROR 10.128.1.2" {
		t.Errorf("the resolver beside it: %q", got)
	}
	cancel()
	w.must(<-done)
	s.Close()
}

// forgetFlows empties a namespace's connection table.
func (w *world) forgetFlows(c *kerneltest.NetNS) {
	w.t.Helper()
	h := w.handle(c)
	defer h.Close()
	w.must(h.ConntrackTableFlush(netlink.ConntrackTable))
}
