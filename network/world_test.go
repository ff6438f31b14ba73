package network_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// tag is the engine's in these tests; its links begin with prefix.
const (
	tag    = "0badcafe"
	prefix = "mc" + tag
)

// world is a host of its own, and a machine outside on the same wire that
// routes everything through it.
type world struct {
	t             testing.TB
	host, outside *kerneltest.NetNS
	net           *network.Host
	table         packetRules
	state         firewall.State
	shield        *os.File // of the networks; nil: there is none
	run           string   // where the host's lock is
}

// packetRules is what the engine uses of the two.
type packetRules interface {
	Ensure(firewall.State) error
	Change(add, remove firewall.State) error
	Remove() error
	Stands() (bool, error)
	Watch(ctx context.Context, tell func(firewall.Notice)) error
	Admit(links ...string) error
	Dismiss(links ...string) error
	Shielded() bool
	Close() error
}

// everyWay runs a test on the table of nf_tables and on iptables.
func everyWay(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("nf_tables", func(t *testing.T) { f(t, newWorld(t)) })
	t.Run("iptables", func(t *testing.T) {
		w := newWorld(t)
		needIPTables(t, w.host)
		w.must(w.table.Remove())
		w.must(w.table.Close())
		w.table = firewall.OpenIPTables(tag, prefix, w.host.File)
		w.must(w.table.Ensure(firewall.State{}))
		f(t, w)
	})
}

// needIPTables skips on kernels that lack the old interface.
func needIPTables(t *testing.T, ns *kerneltest.NetNS) {
	t.Helper()
	path := kerneltest.NeedProgram(t, "iptables-legacy")
	err := ns.Try(func() error { return exec.Command(path, "-w", "-t", "nat", "-S").Run() })
	kerneltest.NeedFeature(t, "ip_tables", err == nil)
}

const (
	hostAddr    = "192.0.2.1"
	outsideAddr = "192.0.2.2"
)

func newWorld(t testing.TB) *world {
	t.Helper()
	kerneltest.NeedRoot(t)
	w := &world{t: t, host: kerneltest.NewNetNS(t), outside: kerneltest.NewNetNS(t)}
	w.wire()
	var err error
	w.net, err = network.OpenIn(w.host.File)
	w.must(err)
	t.Cleanup(func() { w.net.Close() })

	w.run = t.TempDir()
	lock, err := network.LockHost(w.run)
	w.must(err)
	w.must(lock.Forward(w.net, tag))
	w.must(lock.Unlock())

	w.table = firewall.Open(tag, w.host.File)
	w.must(w.table.Ensure(firewall.State{}))
	t.Cleanup(func() { w.table.Close() })
	return w
}

// wire plugs outside into host.
func (w *world) wire() {
	h, o := w.handle(w.host), w.handle(w.outside)
	defer h.Close()
	defer o.Close()
	w.must(h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "wire"}, PeerName: "wire",
		PeerNamespace: netlink.NsFd(w.outside.File.Fd()),
	}))
	for _, side := range []struct {
		h    *netlink.Handle
		addr string
	}{{h, hostAddr}, {o, outsideAddr}} {
		l, err := side.h.LinkByName("wire")
		w.must(err)
		a, err := netlink.ParseAddr(side.addr + "/24")
		w.must(err)
		w.must(side.h.AddrAdd(l, a))
		w.must(side.h.LinkSetUp(l))
	}
	l, err := o.LinkByName("wire")
	w.must(err)
	w.must(o.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(hostAddr)}))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish puts ports into the table and remembers them.
func (w *world) publish(ports ...firewall.Port) {
	w.t.Helper()
	w.must(w.table.Change(firewall.State{Ports: ports}, firewall.State{}))
	w.state.Ports = append(w.state.Ports, ports...)
}

// network makes a bridge 10.128.<n>.0/24 and its rules.
func (w *world) network(n int, internal bool) network.Bridge {
	w.t.Helper()
	return w.networkOn(network.LinkName(prefix), n, internal)
}

// networkOn is network with the bridge's name.
func (w *world) networkOn(bridge string, n int, internal bool) network.Bridge {
	w.t.Helper()
	group, err := firewall.LinkGroup(tag)
	w.must(err)
	b := network.Bridge{
		Name: bridge, Group: group,
		Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.128.%d.1/24", n))},
		Internal:  internal,
	}
	w.must(w.net.EnsureBridge(b))
	s := firewall.State{Networks: []firewall.Network{{Bridge: b.Name, Subnet: b.Addresses[0].Masked(), Internal: internal}}}
	w.must(w.table.Change(s, firewall.State{}))
	w.state.Networks = append(w.state.Networks, s.Networks...)
	w.shieldToo(s.Networks...)
	return b
}

// shieldToo raises the shield for networks, as the engine does it.
func (w *world) shieldToo(networks ...firewall.Network) {
	w.t.Helper()
	switch {
	case !w.table.Shielded():
	case w.shield == nil:
		w.shield = w.raiseShield(networks...)
		w.t.Cleanup(func() { w.shield.Close() })
	default:
		w.must(firewall.ChangeShield(w.shield, tag, firewall.Shielded{Networks: networks}, firewall.Shielded{}))
	}
}

// raiseShield is nil where there can be none.
func (w *world) raiseShield(networks ...firewall.Network) (socket *os.File) {
	w.t.Helper()
	w.must(network.Do(w.host.File, func() (err error) {
		socket, err = firewall.Shield(tag, firewall.Shielded{Networks: networks})
		if errors.Is(err, firewall.ErrOwned) || errors.Is(err, firewall.ErrNoOwner) {
			return nil
		}
		return err
	}))
	return socket
}

// container makes a namespace on the bridges, with last as the end of each
// address and its default route through the first bridge unless internal.
func (w *world) container(last int, internal bool, bridges ...network.Bridge) *kerneltest.NetNS {
	w.t.Helper()
	ns, err := network.NewNamespace()
	w.must(err)
	w.t.Cleanup(func() { ns.Close() })
	w.attach(ns, last, internal, bridges...)
	return &kerneltest.NetNS{File: ns}
}

func (w *world) attach(ns *os.File, last int, internal bool, bridges ...network.Bridge) []string {
	w.t.Helper()
	var endpoints []network.Endpoint
	for i, b := range bridges {
		a := b.Addresses[0].Addr().As4()
		a[3] = byte(last)
		e := network.Endpoint{
			Bridge: b.Name, Prefix: prefix,
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(a), b.Addresses[0].Bits())},
		}
		if i == 0 && !internal {
			e.Gateways = []netip.Addr{b.Addresses[0].Addr()}
		}
		endpoints = append(endpoints, e)
	}
	links, err := w.net.Attach(ns, endpoints)
	w.must(err)
	var names []string
	for _, l := range links {
		names = append(names, l.Host)
	}
	return names
}

// Deadlines: one guards against hanging, the other is how long a packet that
// must not arrive is waited for.
const (
	generous = time.Minute
	silence  = 400 * time.Millisecond
)

func both(host string, hostPort uint16, target string) []firewall.Port {
	p := firewall.Port{HostPort: hostPort, Target: netip.MustParseAddrPort(target)}
	if host != "" {
		p.Host = netip.MustParseAddr(host)
	}
	p.Protocol = firewall.TCP
	q := p
	q.Protocol = firewall.UDP
	return []firewall.Port{p, q}
}

// handle speaks netlink in a namespace.
func (w *world) handle(ns *kerneltest.NetNS) *netlink.Handle {
	w.t.Helper()
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.File.Fd()))
	w.must(err)
	return h
}

// route gives a container a default route that it was not given.
func (w *world) route(ns *kerneltest.NetNS, gateway string) {
	w.t.Helper()
	h := w.handle(ns)
	defer h.Close()
	l, err := h.LinkByName("eth0")
	w.must(err)
	w.must(h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)}))
}

// outsideHasRoute leads a range from the machine outside to the host.
func (w *world) outsideHasRoute(to string) {
	w.t.Helper()
	h := w.handle(w.outside)
	defer h.Close()
	l, err := h.LinkByName("wire")
	w.must(err)
	_, dst, err := net.ParseCIDR(to)
	w.must(err)
	w.must(h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(hostAddr), Dst: dst}))
}

// leadLoopback makes ns send packets for 127.0.0.1 onto its wire, as an
// attacker beside the host can.
func (w *world) leadLoopback(ns *kerneltest.NetNS, gateway string) {
	w.t.Helper()
	ns.Do(w.t, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0o644)
	})
	h := w.handle(ns)
	defer h.Close()
	lo, err := h.LinkByName("lo")
	w.must(err)
	a, err := netlink.ParseAddr("127.0.0.1/8")
	w.must(err)
	w.must(h.AddrDel(lo, a))
	var out netlink.Link
	for _, name := range []string{"eth0", "wire"} {
		if l, err := h.LinkByName(name); err == nil {
			out = l
		}
	}
	_, loop, _ := net.ParseCIDR("127.0.0.1/32")
	w.must(h.RouteAdd(&netlink.Route{LinkIndex: out.Attrs().Index, Gw: net.ParseIP(gateway), Dst: loop}))
}

func noState() firewall.State { return firewall.State{} }
