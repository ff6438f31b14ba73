package network_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// beside plugs a further machine into the host by a link of that name, with the
// address prefix.2 and the host as its router at prefix.1.
func (w *world) beside(name, prefix string) *kerneltest.NetNS {
	w.t.Helper()
	other := kerneltest.NewNetNS(w.t)
	w.plugInto(other, name, prefix)
	return other
}

func (w *world) plugInto(other *kerneltest.NetNS, name, prefix string) {
	w.t.Helper()
	h, o := w.handle(w.host), w.handle(other)
	defer h.Close()
	defer o.Close()
	w.must(h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "wire", PeerNamespace: netlink.NsFd(other.File.Fd()),
	}))
	w.addressed(h, name, prefix+".1/24")
	w.addressed(o, "wire", prefix+".2/24")
	w.defaultRoute(o, "wire", prefix+".1")
}

func (w *world) addressed(h *netlink.Handle, link, addr string) {
	w.t.Helper()
	l, err := h.LinkByName(link)
	w.must(err)
	a, err := netlink.ParseAddr(addr)
	w.must(err)
	w.must(h.AddrAdd(l, a))
	w.must(h.LinkSetUp(l))
}

func (w *world) defaultRoute(h *netlink.Handle, link, gateway string) {
	w.t.Helper()
	l, err := h.LinkByName(link)
	w.must(err)
	w.must(h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)}))
}

// forwarding reads the host's setting, and sets it first unless to is empty.
func (w *world) forwarding(to string) string {
	w.t.Helper()
	const path = "/proc/sys/net/ipv4/ip_forward"
	var b []byte
	w.host.Do(w.t, func() (err error) {
		if to != "" {
			err = os.WriteFile(path, []byte(to), 0o644)
		}
		if err == nil {
			b, err = os.ReadFile(path)
		}
		return err
	})
	return strings.TrimSpace(string(b))
}

func (w *world) locked(f func(*network.HostLock) error) {
	w.t.Helper()
	l, err := network.LockHost(w.run)
	w.must(err)
	w.must(f(l))
	w.must(l.Unlock())
}

// Two machines on two links of a host that does not route: our networks do not
// make it do so, and another engine's that come later are served.
func TestTheHostBecomesNoRouterForOthers(t *testing.T) {
	w := newWorld(t)
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	w.forwarding("0")
	other := w.beside("wire2", "198.51.100")
	w.serve(w.outside, "outside", 80)
	w.locked(func(l *network.HostLock) error { return l.Forward(w.net, tag) })
	w.keep()
	c := w.container(2, false, w.network(1, false))
	w.reaches(c, outsideAddr+":80", "outside")
	w.cannotReach(other, outsideAddr+":80")

	// The rules against it come back with the others.
	w.program("nft", "flush", "ruleset")
	kerneltest.Eventually(t, generous, func() error {
		if out := w.program("nft", "list", "tables"); !strings.Contains(out, "mycompose_forward") || !strings.Contains(out, tag) {
			return os.ErrNotExist
		}
		return nil
	})
	w.cannotReach(other, outsideAddr+":80")
	w.reaches(c, outsideAddr+":80", "outside")

	// As dockerd does when it comes: a bridge, an address, a rule.
	docker := w.dockerLike("docker0", "172.17.0")
	w.reaches(docker, outsideAddr+":80", "outside")
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	if got := w.forwarding(""); got != "1" {
		t.Errorf("forwarding is %s although another engine needs it", got)
	}
	w.reaches(docker, outsideAddr+":80", "outside")
	w.cannotReach(other, outsideAddr+":80")

	// Its bridge goes: so does what we left for it.
	w.program("ip", "link", "delete", "docker0")
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	if got := w.forwarding(""); got != "0" {
		t.Errorf("forwarding is %s, want 0 as before", got)
	}
	if left := w.program("nft", "list", "tables"); strings.Contains(left, "mycompose_forward") {
		t.Errorf("left: %s", left)
	}
}

// The same rules by iptables, and away again.
func TestTheRouterIsClosedByIPTables(t *testing.T) {
	w := newWorld(t)
	needIPTables(t, w.host)
	before := w.program("iptables-legacy-save")
	other := w.beside("wire2", "198.51.100")
	w.serve(w.outside, "outside", 80)
	w.reaches(other, outsideAddr+":80", "outside")
	for range 2 {
		w.must(firewall.CloseRouterByIPTables(w.host.File, []string{"wire", "wire2"}))
	}
	w.cannotReach(other, outsideAddr+":80")
	for range 2 {
		w.must(firewall.OpenRouterByIPTables(w.host.File))
	}
	w.reaches(other, outsideAddr+":80", "outside")
	if after := w.program("iptables-legacy-save"); chains(after) != chains(before) {
		t.Errorf("left:\n%s", after)
	}
}

// chains counts those of ours in a listing of iptables-save.
func chains(listing string) int { return strings.Count(listing, "MYCOMPOSE") }

// A host that routes keeps routing.
func TestAHostThatRoutesGoesOnRouting(t *testing.T) {
	w := newWorld(t)
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	w.forwarding("1")
	other := w.beside("wire2", "198.51.100")
	w.serve(w.outside, "outside", 80)
	w.locked(func(l *network.HostLock) error { return l.Forward(w.net, tag) })
	w.network(1, false)
	w.reaches(other, outsideAddr+":80", "outside")
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	if got := w.forwarding(""); got != "1" {
		t.Errorf("forwarding is %s, want 1 as before", got)
	}
}

// dockerLike is a container on a bridge of another engine.
func (w *world) dockerLike(bridge, prefix string) *kerneltest.NetNS {
	w.t.Helper()
	c := kerneltest.NewNetNS(w.t)
	h, o := w.handle(w.host), w.handle(c)
	defer h.Close()
	defer o.Close()
	w.must(h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}))
	w.addressed(h, bridge, prefix+".1/16")
	br, err := h.LinkByName(bridge)
	w.must(err)
	w.must(h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "vethother", MasterIndex: br.Attrs().Index}, PeerName: "wire",
		PeerNamespace: netlink.NsFd(c.File.Fd()),
	}))
	end, err := h.LinkByName("vethother")
	w.must(err)
	w.must(h.LinkSetUp(end))
	w.addressed(o, "wire", prefix+".2/16")
	w.defaultRoute(o, "wire", prefix+".1")
	w.program("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", prefix+".0/16", "!", "-o", bridge, "-j", "MASQUERADE")
	return c
}

// A bridge of ours is no reason to go on forwarding, whatever its name.
func TestABridgeWithAUsersNameIsOurOwn(t *testing.T) {
	w := newWorld(t)
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	w.forwarding("0")
	w.locked(func(l *network.HostLock) error { return l.Forward(w.net, tag) })
	w.networkOn("br-own", 1, false)
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	if got := w.forwarding(""); got != "0" {
		t.Errorf("ip_forward is %s", got)
	}
}
