package network_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

const (
	hostAddr6    = "2001:db8::1"
	outsideAddr6 = "2001:db8::2"
)

// wire6 gives both ends of the wire IPv6, and the outside its way by the host.
func (w *world) wire6() {
	for ns, addr := range map[*kerneltest.NetNS]string{w.host: hostAddr6, w.outside: outsideAddr6} {
		h := w.handle(ns)
		l, err := h.LinkByName("wire")
		w.must(err)
		a, err := netlink.ParseAddr(addr + "/64")
		w.must(err)
		a.Flags = unix.IFA_F_NODAD
		w.must(h.AddrAdd(l, a))
		if addr == outsideAddr6 {
			w.must(h.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(hostAddr6), Family: netlink.FAMILY_V6}))
		}
		h.Close()
	}
	lock, err := network.LockHost(w.run)
	w.must(err)
	w.must(lock.Forward6(w.net, tag))
	w.must(lock.Unlock())
}

// network6 makes a bridge fd6d:<n>::/64 beside 10.128.<n>.0/24 and its rules.
func (w *world) network6(n int, internal bool) network.Bridge {
	w.t.Helper()
	group, err := firewall.LinkGroup(tag)
	w.must(err)
	b := network.Bridge{
		Name: network.LinkName(prefix), Internal: internal, Group: group,
		Addresses: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("10.128.%d.1/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd6d:%d::1/64", n)),
		},
	}
	w.must(w.net.EnsureBridge(b))
	for _, a := range b.Addresses {
		networks := []firewall.Network{{Bridge: b.Name, Subnet: a.Masked(), Internal: internal}}
		w.must(w.table.Change(firewall.State{Networks: networks}, firewall.State{}))
		w.shieldToo(networks...)
	}
	return b
}

// container6 is a namespace with both families on a bridge.
func (w *world) container6(b network.Bridge, last int) (*kerneltest.NetNS, netip.Addr) {
	w.t.Helper()
	ns, err := network.NewNamespace()
	w.must(err)
	w.t.Cleanup(func() { ns.Close() })
	e := network.Endpoint{Bridge: b.Name, Prefix: prefix}
	for _, gateway := range b.Addresses {
		a := gateway.Addr().AsSlice()
		a[len(a)-1] = byte(last)
		addr, _ := netip.AddrFromSlice(a)
		e.Addresses = append(e.Addresses, netip.PrefixFrom(addr, gateway.Bits()))
		if !b.Internal {
			e.Gateways = append(e.Gateways, gateway.Addr())
		}
	}
	_, err = w.net.Attach(ns, []network.Endpoint{e})
	w.must(err)
	return &kerneltest.NetNS{File: ns}, e.Addresses[1].Addr()
}

// serve6 answers each TCP connection at a port of ns with the asker's address.
func (w *world) serve6(ns *kerneltest.NetNS, port int) {
	w.t.Helper()
	var l net.Listener
	ns.Do(w.t, func() (err error) {
		l, err = net.Listen("tcp6", fmt.Sprintf("[::]:%d", port))
		return err
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprint(c, host)
			c.Close()
		}
	}()
	w.t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// ask6 connects from ns and returns what is answered. wait bounds a connection
// that nobody answers.
func (w *world) ask6(ns *kerneltest.NetNS, addr string, port int, wait time.Duration) (string, error) {
	var text string
	err := ns.Try(func() error {
		d := net.Dialer{Timeout: wait}
		c, err := d.Dial("tcp6", net.JoinHostPort(addr, fmt.Sprint(port)))
		if err != nil {
			return err
		}
		defer c.Close()
		data, err := io.ReadAll(c)
		text = string(data)
		return err
	})
	return text, err
}

// reach6 asserts who a server sees; "" that it is not reached.
func (w *world) reach6(what string, ns *kerneltest.NetNS, addr string, port int, want string) {
	w.t.Helper()
	if want == "" {
		if got, err := w.ask6(ns, addr, port, 300*time.Millisecond); err == nil {
			w.t.Errorf("%s: reached, seen as %s", what, got)
		}
		return
	}
	kerneltest.Eventually(w.t, time.Minute, func() error {
		got, err := w.ask6(ns, addr, port, 10*time.Second)
		if err == nil && got != want {
			err = fmt.Errorf("seen as %s, want %s", got, want)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// TestIPv6Reach is the IPv6 column of the reach matrix: who reaches whom, and as
// whom it is seen.
func TestIPv6Reach(t *testing.T) {
	w := newWorld(t)
	if _, err := os.Stat("/proc/sys/net/ipv6"); errors.Is(err, os.ErrNotExist) {
		kerneltest.NeedFeature(t, "IPv6", false)
	}
	w.wire6()
	front, back, inner := w.network6(1, false), w.network6(2, false), w.network6(3, true)
	web, webAddr := w.container6(front, 2)
	near, nearAddr := w.container6(front, 3)
	far, _ := w.container6(back, 2)
	shut, shutAddr := w.container6(inner, 2)
	for _, ns := range []*kerneltest.NetNS{web, shut, w.outside} {
		w.serve6(ns, 80)
	}
	w.must(w.table.Change(firewall.State{Ports: []firewall.Port{
		{Protocol: firewall.TCP, HostPort: 8080, Target: netip.AddrPortFrom(webAddr, 80)},
		{Protocol: firewall.TCP, Host: netip.MustParseAddr(hostAddr6), HostPort: 8081, Target: netip.AddrPortFrom(webAddr, 80)},
	}}, firewall.State{}))
	gateway := front.Addresses[1].Addr().String()

	w.reach6("a neighbour", near, webAddr.String(), 80, nearAddr.String())
	w.reach6("the host", w.host, webAddr.String(), 80, gateway)
	w.reach6("another network", far, webAddr.String(), 80, "")
	w.reach6("another network's gateway", far, gateway, 80, "")
	w.reach6("a published port by the host's address from another network", far, hostAddr6, 8080, gateway)
	w.reach6("out, behind the host's address", near, outsideAddr6, 80, hostAddr6)
	w.route(shut, inner.Addresses[1].Addr().String())
	w.reach6("out of an internal network", shut, outsideAddr6, 80, "")
	w.reach6("from an internal network to another", shut, webAddr.String(), 80, "")
	w.reach6("into an internal network", far, shutAddr.String(), 80, "")
	w.reach6("the host into an internal network", w.host, shutAddr.String(), 80, inner.Addresses[1].Addr().String())
	w.reach6("a published port from outside", w.outside, hostAddr6, 8080, outsideAddr6)
	w.reach6("a port published on one address from outside", w.outside, hostAddr6, 8081, outsideAddr6)
	w.reach6("a published port from the host", w.host, hostAddr6, 8080, hostAddr6)
	w.reach6("a published port from its neighbour", near, hostAddr6, 8080, gateway)
	w.reach6("a published port from itself", web, hostAddr6, 8080, gateway)
	w.reach6("an unpublished container from outside", w.outside, webAddr.String(), 80, "")

	w.give(near, "2001:db8:66::66/128")
	w.onlyHonest(near, w.listener(w.outside, ":7000"), "2001:db8:66::66", nearAddr.String(), "["+outsideAddr6+"]:7000")
	w.onlyHonest(near, w.listener(w.host, ":7000"), "2001:db8:66::66", nearAddr.String(), "["+gateway+"]:7000")

	// Without the table nothing is more open: the shield holds.
	w.must(w.table.Remove())
	w.reach6("a container from outside without the table", w.outside, webAddr.String(), 80, "")
	w.reach6("another network without the table", far, webAddr.String(), 80, "")
	w.reach6("out of an internal network without the table", shut, outsideAddr6, 80, "")
}

func TestIPv6ForwardingIsGivenBack(t *testing.T) {
	w := newWorld(t)
	read := func(name string) string {
		var text string
		w.host.Do(t, func() error {
			data, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name)
			text = strings.TrimSpace(string(data))
			return err
		})
		return text
	}
	if read("all/forwarding") != "0" || read("wire/accept_ra") != "1" {
		t.Skipf("needs kernel feature: a fresh namespace that does not forward IPv6 and takes advertisements; here it forwards %s and takes advertisements %s", read("all/forwarding"), read("wire/accept_ra"))
	}
	locked := func(do func(*network.HostLock) error) {
		lock, err := network.LockHost(w.run)
		w.must(err)
		w.must(do(lock))
		w.must(lock.Unlock())
	}
	for range 2 {
		locked(func(l *network.HostLock) error { return l.Forward6(w.net, tag) })
		locked(func(l *network.HostLock) error { return l.Forward6(w.net, "feedf00d") })
	}
	if read("all/forwarding") != "1" || read("wire/accept_ra") != "2" {
		t.Errorf("forwarding %s, accept_ra %s", read("all/forwarding"), read("wire/accept_ra"))
	}
	locked(func(l *network.HostLock) error { return l.Release6(w.net, tag) })
	if read("all/forwarding") != "1" {
		t.Error("the first user took it from the second")
	}
	for range 2 {
		locked(func(l *network.HostLock) error { return l.Release6(w.net, "feedf00d") })
	}
	if read("all/forwarding") != "0" || read("wire/accept_ra") != "1" {
		t.Errorf("forwarding %s, accept_ra %s", read("all/forwarding"), read("wire/accept_ra"))
	}
}
