package engine

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
)

// wire plugs the machine outside into this one, which is the router for all it
// asks for. Its addresses come from the range for tests of such devices
// (RFC 2544), by the tag, as other tests run beside.
func (m *matrix) wire() {
	m.t.Helper()
	m.outside = kerneltest.NewNetNS(m.t)
	var tag uint32
	if _, err := fmt.Sscanf(m.place.Tag, "%x", &tag); err != nil {
		m.t.Fatal(err)
	}
	m.wirePrefix = fmt.Sprintf("198.18.%d.%d", byte(tag>>8), byte(tag)&^15)
	m.hostAddr, m.outsideAddr, m.loopback = nextAddr(m.wirePrefix, 1), nextAddr(m.wirePrefix, 2), "127.0.0.1"
	six := fmt.Sprintf("2001:db8:%x:%x::", tag>>16, tag&0xffff)
	m.six = [3]string{six + "1", six + "2", "::1"}
	if !haveIPv6() {
		m.six = [3]string{}
	}
	name := "wr" + m.place.Tag
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	must(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "wire", PeerNamespace: netlink.NsFd(m.outside.File.Fd()),
	}))
	m.t.Cleanup(func() {
		if link, err := netlink.LinkByName(name); err == nil {
			must(netlink.LinkDel(link))
		}
	})
	there, err := netlink.NewHandleAt(netns.NsHandle(m.outside.File.Fd()))
	must(err)
	defer there.Close()
	here, err := netlink.NewHandle()
	must(err)
	defer here.Close()
	for _, side := range []struct {
		h               *netlink.Handle
		link, addr, six string
	}{{here, name, m.hostAddr, m.six[0]}, {there, "wire", m.outsideAddr, m.six[1]}} {
		link, err := side.h.LinkByName(side.link)
		must(err)
		addr, err := netlink.ParseAddr(side.addr + "/28")
		must(err)
		must(side.h.AddrAdd(link, addr))
		if side.six != "" {
			addr, err := netlink.ParseAddr(side.six + "/64")
			must(err)
			addr.Flags = unix.IFA_F_NODAD
			must(side.h.AddrAdd(link, addr))
		}
		must(side.h.LinkSetUp(link))
	}
	link, err := there.LinkByName("wire")
	must(err)
	for _, gateway := range []string{m.hostAddr, m.six[0]} {
		if gateway != "" {
			must(there.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway)}))
		}
	}
	m.serveOutside()
}

// macvlan makes a network on the wire.
func (m *matrix) macvlan(name string) {
	m.t.Helper()
	needKind(m.t, network.Macvlan)
	m.network(spec.Network{
		Name: name, Driver: spec.DriverMacvlan, Options: map[string]string{"parent": "wr" + m.place.Tag},
		Pools: []spec.Pool{{Subnet: m.wirePrefix + "/28", Gateway: m.outsideAddr, IPRange: nextAddr(m.wirePrefix, 8) + "/29"}},
	})
}

// onWire puts a blueprint on that network.
func (m *matrix) onWire(b spec.Blueprint) spec.Blueprint {
	return on(b, spec.Attachment{Network: "one"})
}

func nextAddr(prefix string, n byte) string {
	ip := net.ParseIP(prefix).To4()
	ip[3] += n
	return ip.String()
}

// serveOutside answers "outside" on the machine outside.
func (m *matrix) serveOutside() {
	m.t.Helper()
	var l net.Listener
	var p net.PacketConn
	m.outside.Do(m.t, func() (err error) {
		if l, err = net.Listen("tcp", fmt.Sprintf(":%d", subjectPort)); err == nil {
			p, err = net.ListenPacket("udp", fmt.Sprintf(":%d", subjectPort))
		}
		return err
	})
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "outside")
			c.Close()
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for b := make([]byte, 100); ; {
			_, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = p.WriteTo([]byte("outside"), from)
		}
	}()
	m.t.Cleanup(func() { l.Close(); p.Close(); <-done; <-done })
}

// inside asks from a container.
func (m *matrix) inside(id, network, at, want string, wait int) error {
	out, code := m.run(id, fmt.Sprintf("/reach ask %s %s %d 2>&1", network, at, wait))
	return judge(strings.TrimSpace(out), want, code == 0)
}

// reach asks from this process.
func reach(network, at, want string, wait int) error {
	limit := time.Duration(wait) * time.Millisecond
	c, err := net.DialTimeout(network, at, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	if network == "udp" {
		if _, err := io.WriteString(c, "?"); err != nil {
			return err
		}
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	return judge(string(b[:n]), want, true)
}

func judge(got, want string, ok bool) error {
	if !ok || got != want {
		return fmt.Errorf("%q answers, want %q", got, want)
	}
	return nil
}
