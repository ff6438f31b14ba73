package network

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is one network link of the host.
type Link struct {
	Index int
	Name  string
	// Kind is "bridge", "veth" …, empty for hardware and lo.
	Kind string
	// Master is the index of the bridge it is a port of, or 0.
	Master int
	Group  uint32
	MTU    int
	Up     bool
}

// Links lists the host's links whose name begins with prefix, so that what a
// crash left can be collected; the empty prefix lists all.
func (h *Host) Links(prefix string) ([]Link, error) {
	var found []Link
	err := h.sock.ask(listLinks(), func(body []byte) {
		if l := parseLink(body); strings.HasPrefix(l.Name, prefix) {
			found = append(found, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list links: %w", err)
	}
	return found, nil
}

// link looks one up by name.
func (h *Host) link(name string) (Link, error) {
	var l Link
	err := h.sock.ask(message{kind: unix.RTM_GETLINK, parts: []nl.NetlinkRequestData{infoMsg(0), nameAttr(name)}},
		func(body []byte) { l = parseLink(body) })
	if err != nil {
		return Link{}, fmt.Errorf("cannot find link %s: %w", name, err)
	}
	return l, nil
}

func parseLink(body []byte) Link {
	if len(body) < unix.SizeofIfInfomsg {
		return Link{}
	}
	l := Link{
		Index: int(int32(binary.NativeEndian.Uint32(body[4:]))),
		Up:    binary.NativeEndian.Uint32(body[8:])&unix.IFF_UP != 0,
	}
	for kind, v := range attributes(body[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_MASTER:
			l.Master = int(number(v))
		case unix.IFLA_GROUP:
			l.Group = number(v)
		case unix.IFLA_MTU:
			l.MTU = int(number(v))
		case unix.IFLA_LINKINFO:
			for k, info := range attributes(v) {
				if k == nl.IFLA_INFO_KIND {
					l.Kind = text(info)
				}
			}
		}
	}
	return l
}

// SetGroup puts a link into a link group, unless it is in it.
func (h *Host) SetGroup(name string, group uint32) error {
	l, err := h.link(name)
	if err != nil || l.Group == group {
		return err
	}
	if err := h.sock.batch(linkGroup(l.Index, group)); err != nil {
		return fmt.Errorf("cannot put link %s into its group: %w", name, err)
	}
	return nil
}

// DeleteLinks deletes links by name, all in one message; missing ones are no
// error. A veth takes its peer with it.
func (h *Host) DeleteLinks(names ...string) error {
	var doomed []Link
	for _, n := range names {
		if n == "" {
			continue
		}
		l, err := h.link(n)
		if isErrno(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return err
		}
		doomed = append(doomed, l)
	}
	return h.delete(doomed)
}

// doomed is the bit of link groups that are about to be deleted.
const doomed = 1 << 30

// delete moves the links into a link group that nobody else uses and deletes
// that group. Both go in one datagram, and the kernel waits once for all.
func (h *Host) delete(links []Link) error {
	if len(links) == 0 {
		return nil
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	group := binary.NativeEndian.Uint32(b[:]) | doomed

	var msgs []message
	for _, l := range links {
		msgs = append(msgs, linkGroup(l.Index, group))
	}
	msgs = append(msgs, message{kind: unix.RTM_DELLINK, parts: []nl.NetlinkRequestData{
		infoMsg(0), numberAttr(unix.IFLA_GROUP, group),
	}})
	errs, err := h.sock.each(msgs...)
	if err != nil {
		return fmt.Errorf("cannot delete links: %w", err)
	}
	for i, e := range errs {
		if e == nil || errors.Is(e, unix.ENODEV) {
			continue // gone by itself
		}
		if i < len(links) {
			return fmt.Errorf("cannot delete link %s: %w", links[i].Name, e)
		}
		return fmt.Errorf("cannot delete link group: %w", e)
	}
	return nil
}

// HostRoute is a range that the host routes.
type HostRoute struct {
	Prefix netip.Prefix
	// Link is where to; empty for a route to nowhere.
	Link string
}

func (r HostRoute) String() string {
	if r.Link == "" {
		return r.Prefix.String()
	}
	return r.Prefix.String() + " dev " + r.Link
}

// Routes lists what the host routes in any table, its own subnets included.
// Default routes are left out.
func (h *Host) Routes() ([]HostRoute, error) {
	links, err := h.Links("")
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	var found []HostRoute
	err = h.eachRoute(func(p netip.Prefix, link int) { found = append(found, HostRoute{p, names[link]}) })
	return found, err
}

// Ranges are the destinations of Routes, for the choice of a subnet that is
// free: where they lead to is most of Routes' work on a host of many links.
func (h *Host) Ranges() ([]netip.Prefix, error) {
	var found []netip.Prefix
	err := h.eachRoute(func(p netip.Prefix, _ int) { found = append(found, p) })
	return found, err
}

// eachRoute visits the routes to somewhere, and to nowhere. The kernel is asked for
// each type by itself: most of what it has are addresses of the host.
func (h *Host) eachRoute(visit func(p netip.Prefix, link int)) error {
	for _, family := range families() {
		for _, kind := range []uint8{unix.RTN_UNICAST, unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT} {
			m := nl.NewRtMsg()
			*m = nl.RtMsg{} // a dump with any field set filters by it
			m.Family, m.Type = family, kind
			err := h.sock.ask(message{kind: unix.RTM_GETROUTE, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{m}},
				func(body []byte) {
					if p, link, ok := parseRoute(body, kind); ok {
						visit(p, link)
					}
				})
			if isErrno(err, unix.EAFNOSUPPORT) || isErrno(err, unix.EOPNOTSUPP) {
				break // a host without IPv6
			}
			if err != nil {
				return fmt.Errorf("cannot list routes: %w", err)
			}
		}
	}
	return nil
}

// parseRoute gives the destination of a route of a kind but the default one, and
// the index of the link that it leads to.
func parseRoute(body []byte, kind uint8) (p netip.Prefix, link int, ok bool) {
	if len(body) < unix.SizeofRtMsg {
		return p, 0, false
	}
	bits := int(body[1])
	if bits == 0 || body[7] != kind {
		return p, 0, false
	}
	for k, v := range attributes(body[unix.SizeofRtMsg:]) {
		switch k {
		case unix.RTA_DST:
			a, _ := netip.AddrFromSlice(v)
			p = netip.PrefixFrom(a, bits)
		case unix.RTA_OIF:
			link = int(number(v))
		}
	}
	return p, link, p.IsValid()
}
