package network_test

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// listener is a place where datagrams come in.
func (w *world) listener(ns *kerneltest.NetNS, addr string) net.PacketConn {
	w.t.Helper()
	var p net.PacketConn
	ns.Do(w.t, func() (err error) {
		p, err = net.ListenPacket("udp", addr)
		return err
	})
	w.t.Cleanup(func() { p.Close() })
	return p
}

// send sends a word from an address of ns, which need not be one that others
// know.
func (w *world) send(ns *kerneltest.NetNS, source, to, word string) {
	w.t.Helper()
	ns.Do(w.t, func() error {
		at, err := net.ResolveUDPAddr("udp", to)
		if err != nil {
			return err
		}
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, at)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(word))
		return err
	})
}

// give gives the container's link a further address.
func (w *world) give(ns *kerneltest.NetNS, addr string) {
	w.t.Helper()
	h := w.handle(ns)
	defer h.Close()
	l, err := h.LinkByName("eth0")
	w.must(err)
	a, err := netlink.ParseAddr(addr)
	w.must(err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD // it is used at once
	}
	w.must(h.AddrAdd(l, a))
}

// onlyHonest sends with the foreign and then with the own source, and asserts
// that the second alone arrives. Both go the same way, so that the first would
// be there before.
func (w *world) onlyHonest(ns *kerneltest.NetNS, at net.PacketConn, foreign, own, to string) {
	w.t.Helper()
	kerneltest.Eventually(w.t, time.Minute, func() error {
		w.send(ns, foreign, to, "foreign")
		w.send(ns, own, to, "own")
		b := make([]byte, 100)
		_ = at.SetReadDeadline(time.Now().Add(generous))
		n, from, err := at.ReadFrom(b)
		if err == nil && string(b[:n]) != "own" {
			w.t.Errorf("%s: %s got through as %s", to, b[:n], from)
		}
		return err
	})
}

// A packet whose source is not the container's, nor routed by way of it, reaches
// neither the host nor anybody behind it (test 41 of the design's list).
func TestAForeignSourceGetsNowhere(t *testing.T) { everyWay(t, testAForeignSourceGetsNowhere) }

func testAForeignSourceGetsNowhere(t *testing.T, w *world) {
	front, back := w.network(1, false), w.network(2, false)
	c, other := w.container(2, false, front), w.container(2, false, back)
	w.give(c, "203.0.113.66/32")
	w.give(c, "10.128.2.2/32") // as if it were the other
	outside, host := w.listener(w.outside, ":7000"), w.listener(w.host, ":7000")
	for _, foreign := range []string{"203.0.113.66", "10.128.2.2"} {
		w.onlyHonest(c, outside, foreign, "10.128.1.2", outsideAddr+":7000")
		w.onlyHonest(c, host, foreign, "10.128.1.2", "10.128.1.1:7000")
		w.onlyHonest(c, host, foreign, "10.128.1.2", hostAddr+":7000")
	}
	w.serve(other, "other", 80)
	w.reaches(w.host, "10.128.2.2:80", "other") // the true one
}

// A host route by way of a container, as to clients of a VPN in it, makes their
// addresses good.
func TestWhatIsRoutedByAContainerIsNotForeign(t *testing.T) {
	w := newWorld(t)
	front := w.network(1, false)
	c := w.container(2, false, front)
	w.give(c, "203.0.113.66/32")
	h := w.handle(w.host)
	defer h.Close()
	_, dst, err := net.ParseCIDR("203.0.113.64/28")
	w.must(err)
	w.must(h.RouteAdd(&netlink.Route{Gw: net.ParseIP("10.128.1.2"), Dst: dst}))
	outside := w.listener(w.outside, ":7000")
	kerneltest.Eventually(t, time.Minute, func() error {
		w.send(c, "203.0.113.66", outsideAddr+":7000", "routed")
		_ = outside.SetReadDeadline(time.Now().Add(generous))
		_, _, err := outside.ReadFrom(make([]byte, 100))
		return err
	})
}

// Who translates before our table, as dockerd started after us does it for a port of
// its own that is published on 127.0.0.1, makes that port no more than the host's.
func TestATranslationOfOthersOpensNoLoopback(t *testing.T) {
	w := newWorld(t)
	web, neighbour := w.container(2, false, w.network(1, false)), w.container(2, false, w.network(2, false))
	w.serve(web, "web", 80)
	w.program("nft", `table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority -100; policy accept;
		meta l4proto { tcp, udp } th dport 8080 dnat to 10.128.1.2:80
	}
}`)
	w.reaches(neighbour, "10.128.2.1:8080", "web") // it translates
	w.leadLoopback(neighbour, "10.128.2.1")
	w.cannotReach(neighbour, "127.0.0.1:8080")
	w.cannotReach(neighbour, "10.128.1.1:8080")
}

// What answers a process of the host's that speaks from 127.0.0.1 comes to 127.0.0.1
// by a bridge, and is let in.
func TestTheHostSpeaksFromItsLoopback(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(web, "web", 80)
	w.host.Do(t, func() error {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Timeout: generous}
		c, err := from.Dial("tcp4", "10.128.1.2:80")
		if err == nil {
			err = c.Close()
		}
		return err
	})
}
