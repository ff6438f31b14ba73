package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages and attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	ctGet    = 1<<8 | 1 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
	ctDelete = 1<<8 | 2

	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaZone       = 18

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPSource  = 1
	ctaIPDest    = 2
	ctaIPSource6 = 3
	ctaIPDest6   = 4

	ctaProtoNumber = 1
	ctaProtoSource = 2
	ctaProtoDest   = 3
)

// ForgetUDP deletes the kernel's memory of UDP flows that concern the given
// ports: those led to their targets, and those that came to their host ports
// before they were published. Without it a client that keeps sending from one
// port stays bound to a container that is gone. TCP ports are skipped: their
// connections end with the container. ns is the host's namespace or nil.
func ForgetUDP(ns *os.File, ports []Port) error {
	var udp []Port
	for _, p := range ports {
		if p.Protocol == UDP {
			udp = append(udp, p)
		}
	}
	if len(udp) == 0 {
		return nil
	}
	if err := forget(ns, func(f flow) bool { return f.concerns(udp) }); err != nil {
		return fmt.Errorf("cannot forget UDP flows: %w", err)
	}
	return nil
}

// ForgetUntranslated deletes the kernel's memory of flows that began while the
// table was gone: those to published UDP ports, and those that left a network
// of the state with the container's own address. They would stay as they began
// for as long as their clients keep sending. Connections of TCP that stand are
// not hurt: what is forgotten of them is learnt again from the next packet.
func ForgetUntranslated(ns *os.File, s State) error {
	var udp []Port
	for _, p := range s.Ports {
		if p.Protocol == UDP {
			udp = append(udp, p)
		}
	}
	err := forget(ns, func(f flow) bool { return f.concerns(udp) || f.escaped(s.Networks) })
	if err != nil {
		return fmt.Errorf("cannot forget untranslated flows: %w", err)
	}
	return nil
}

// escaped says whether f went from a network that hides its addresses to
// elsewhere without being translated.
func (f flow) escaped(networks []Network) bool {
	from, to := f.orig.source.Addr(), f.orig.dest.Addr()
	if f.reply.dest != f.orig.source || f.reply.source != f.orig.dest {
		return false
	}
	hidden := false
	for _, n := range networks {
		if n.Subnet.Contains(to) {
			return false
		}
		hidden = hidden || n.Subnet.Contains(from) && !n.NoMasquerade && !n.Internal
	}
	return hidden
}

func forget(ns *os.File, doomed func(flow) bool) error {
	config := &netlink.Config{}
	if ns != nil {
		config.NetNS = int(ns.Fd())
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := forgetFamily(c, family, doomed); err != nil {
			return err
		}
	}
	return nil
}

func forgetFamily(c *netlink.Conn, family byte, doomed func(flow) bool) error {
	nfgen := []byte{family, 0, 0, 0}
	entries, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: ctGet, Flags: netlink.Request | netlink.Dump},
		Data:   nfgen,
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil // no connection tracking, nothing to forget
	}
	if err != nil {
		return err
	}
	for _, m := range entries {
		f, ok := parseFlow(m.Data)
		if !ok || !doomed(f) {
			continue
		}
		attrs := []netlink.Attribute{{Type: ctaTupleOrig | netlink.Nested, Data: f.raw}}
		if f.zone != nil {
			attrs = append(attrs, netlink.Attribute{Type: ctaZone, Data: f.zone})
		}
		body, err := netlink.MarshalAttributes(attrs)
		if err != nil {
			return err
		}
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: ctDelete, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append([]byte{family, 0, 0, 0}, body...),
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// flow is one entry of the connection table.
type flow struct {
	protocol    Protocol
	orig, reply tuple
	raw, zone   []byte // as the kernel wrote them, to name the entry again
}

type tuple struct{ source, dest netip.AddrPort }

// concerns says whether f belongs to one of the UDP ports.
func (f flow) concerns(ports []Port) bool {
	if f.protocol != UDP {
		return false
	}
	for _, p := range ports {
		if f.reply.source == p.Target {
			return true
		}
		if f.orig.dest.Port() == p.HostPort && (p.everywhere() || p.Host == f.orig.dest.Addr()) {
			return true
		}
	}
	return false
}

func parseFlow(data []byte) (flow, bool) {
	const nfgenSize = 4
	if len(data) < nfgenSize {
		return flow{}, false
	}
	attrs, err := netlink.UnmarshalAttributes(data[nfgenSize:])
	if err != nil {
		return flow{}, false
	}
	var f flow
	for _, a := range attrs {
		switch a.Type &^ (netlink.Nested | netlink.NetByteOrder) {
		case ctaTupleOrig:
			f.raw = a.Data
			f.protocol, f.orig = parseTuple(a.Data)
		case ctaTupleReply:
			_, f.reply = parseTuple(a.Data)
		case ctaZone:
			f.zone = a.Data
		}
	}
	return f, f.raw != nil
}

func parseTuple(data []byte) (Protocol, tuple) {
	var protocol Protocol
	var source, dest netip.Addr
	var sport, dport uint16
	each(data, func(kind uint16, part []byte) {
		switch kind {
		case ctaTupleIP:
			each(part, func(kind uint16, v []byte) {
				addr, _ := netip.AddrFromSlice(v)
				switch kind {
				case ctaIPSource, ctaIPSource6:
					source = addr
				case ctaIPDest, ctaIPDest6:
					dest = addr
				}
			})
		case ctaTupleProto:
			each(part, func(kind uint16, v []byte) {
				switch {
				case kind == ctaProtoNumber && len(v) >= 1:
					protocol = Protocol(v[0])
				case kind == ctaProtoSource && len(v) >= 2:
					sport = binary.BigEndian.Uint16(v)
				case kind == ctaProtoDest && len(v) >= 2:
					dport = binary.BigEndian.Uint16(v)
				}
			})
		}
	})
	return protocol, tuple{netip.AddrPortFrom(source, sport), netip.AddrPortFrom(dest, dport)}
}

// each walks attributes; a malformed list ends the walk.
func each(data []byte, visit func(kind uint16, value []byte)) {
	attrs, err := netlink.UnmarshalAttributes(data)
	if err != nil {
		return
	}
	for _, a := range attrs {
		visit(a.Type&^(netlink.Nested|netlink.NetByteOrder), a.Data)
	}
}
