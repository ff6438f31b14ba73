package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The IPv6 side of the table: the same sets and rules once more, since an
// element has the size of its addresses. ::1 is left out: no kernel routes what
// it sends beyond lo, so a port of it is the proxy's.
const (
	setOwn6         = "own6"
	setSubnets6     = "subnets6"
	mapPublished6   = "published6"
	mapPublishedOn6 = "published6_on"
)

// Offsets in the IPv6 header (RFC 8200).
const (
	offsetSource6 = 8
	offsetDest6   = 24
)

// reg32f is behind a 16 byte address that began in reg32b.
const reg32f = reg32b + 4

func sets6() []set {
	target := nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService)
	return []set{
		{name: setOwn6, key: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIP6Addr), ranges: true},
		{name: setSubnets6, key: nftables.MustConcatSetType(nftables.TypeNFProto, nftables.TypeIP6Addr), ranges: true},
		{name: mapPublished6, key: nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService), value: target},
		{
			name:  mapPublishedOn6,
			key:   nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeIP6Addr, nftables.TypeInetService),
			value: target,
		},
	}
}

// linkLocal is of each link and in no subnet: neighbours ask and answer by it.
func linkLocal() netip.Prefix { return netip.MustParsePrefix("fe80::/10") }

// addNetwork6 adds the elements of an IPv6 subnet; out are those of sets6.
func addNetwork6(out []set, n Network) {
	name, quoted := bridgeKey(n.Bridge), fmt.Sprintf("%q", n.Bridge)
	own, subnets := &out[0], &out[1]
	for _, p := range []netip.Prefix{n.Subnet, linkLocal()} {
		first, last := bounds6(p)
		own.elems = append(own.elems, element{
			text: quoted + " . " + p.String(), key: slices.Concat(name, first), keyEnd: slices.Concat(name, last),
		})
	}
	first, last := bounds6(n.Subnet)
	family := []byte{unix.NFPROTO_IPV6, 0, 0, 0}
	subnets.elems = append(subnets.elems, element{
		text: "ipv6 . " + n.Subnet.String(), key: slices.Concat(family, first), keyEnd: slices.Concat(family, last),
	})
}

// addPort6 adds the element of a port with an IPv6 target.
func addPort6(out []set, p Port) {
	value := slices.Concat(p.Target.Addr().AsSlice(), portKey(p.Target.Port()))
	proto := []byte{byte(p.Protocol), 0, 0, 0}
	leads := fmt.Sprintf(" : %s . %d", p.Target.Addr(), p.Target.Port())
	if p.everywhere() {
		out[2].add(fmt.Sprintf("%s . %d%s", p.Protocol, p.HostPort, leads), slices.Concat(proto, portKey(p.HostPort)), value)
		return
	}
	out[3].add(fmt.Sprintf("%s . %s . %d%s", p.Protocol, p.Host, p.HostPort, leads),
		slices.Concat(proto, p.Host.AsSlice(), portKey(p.HostPort)), value)
}

// bounds6 are the first and the last address of an IPv6 subnet.
func bounds6(p netip.Prefix) (first, last []byte) {
	first = p.Masked().Addr().AsSlice()
	last = slices.Clone(first)
	for i := range last {
		if free := 8*(i+1) - p.Bits(); free > 0 {
			last[i] |= byte(0xff >> max(0, 8-free))
		}
	}
	return first, last
}

func ipv6() rule {
	return rule{"meta nfproto ipv6", []expr.Any{meta(expr.MetaKeyNFPROTO, reg1), equal(reg1, unix.NFPROTO_IPV6)}}
}

// notLoopback6 leaves ::1 to the proxy.
func notLoopback6() rule {
	one := netip.IPv6Loopback().As16()
	return rule{"ip6 daddr != ::1", []expr.Any{
		header(reg1, offsetDest6, 16), &expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: one[:]},
	}}
}

func published6() []rule {
	return []rule{
		join(ipv6(), notLoopback6(), toHost(), dnatTo6(mapPublishedOn6)),
		join(ipv6(), notLoopback6(), toHost(), dnatTo6(mapPublished6)),
	}
}

func dnatTo6(name string) rule {
	text := "dnat ip6 to meta l4proto . th dport map @" + name
	exprs := []expr.Any{meta(expr.MetaKeyL4PROTO, reg32a), port(reg32b, offsetDport)}
	if name == mapPublishedOn6 {
		text = "dnat ip6 to meta l4proto . ip6 daddr . th dport map @" + name
		exprs = []expr.Any{meta(expr.MetaKeyL4PROTO, reg32a), header(reg32b, offsetDest6, 16), port(reg32f, offsetDport)}
	}
	return rule{text, append(exprs,
		&expr.Lookup{SourceRegister: reg32a, DestRegister: reg1, IsDestRegSet: true, SetName: name},
		// Behind the address stands the port, where register 2 begins.
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV6, RegAddrMin: reg1, RegProtoMin: reg2},
	)}
}

func ownSource6() rule {
	return join(ipv6(), rule{"oifname . ip6 saddr @" + setOwn6, []expr.Any{
		meta(expr.MetaKeyOIFNAME, reg1), header(reg2, offsetSource6, 16),
		&expr.Lookup{SourceRegister: reg1, SetName: setOwn6},
	}})
}

func notToOwn6() rule {
	return rule{"iifname . ip6 daddr != @" + setOwn6, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), header(reg2, offsetDest6, 16),
		&expr.Lookup{SourceRegister: reg1, SetName: setOwn6, Invert: true},
	}}
}

func toSubnet6() rule {
	return join(ipv6(), rule{"meta nfproto . ip6 daddr @" + setSubnets6, []expr.Any{
		meta(expr.MetaKeyNFPROTO, reg32a), header(reg32b, offsetDest6, 16),
		&expr.Lookup{SourceRegister: reg32a, SetName: setSubnets6},
	}})
}

// key6 tells apart, among ports, those of IPv6 targets.
func (p Port) key6() netip.AddrPort {
	if p.Target.Addr().Is6() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.AddrPort{}
}

// checkFamilies says why a port's host address does not go with its target.
func (p Port) checkFamilies() error {
	target := p.Target.Addr()
	switch {
	case p.Target.Port() == 0 || !target.IsValid() || target.IsUnspecified() || target.Is4In6():
		return fmt.Errorf("the target %s is not an address with a port", p.Target)
	case p.everywhere():
		return nil
	case p.Host.Is4() != target.Is4() || p.Host.Is4In6():
		return fmt.Errorf("the kernel cannot translate %s to %s, of another address family", p.Host, target)
	case p.Host == netip.IPv6Loopback():
		return fmt.Errorf("the kernel cannot lead %s anywhere else", p.Host)
	}
	return nil
}
