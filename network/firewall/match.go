package firewall

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The parts that rules are joined from: each gives its nft text and its
// expressions, side by side. Registers 1 and 2 hold 16 bytes, registers 8
// (the first quarter of 1) to 10 hold four (linux/netfilter/nf_tables.h).
const (
	reg1   = 1
	reg2   = 2
	reg32a = 8
	reg32b = 9
	reg32c = 10
)

func decimal(n uint16) string { return strconv.Itoa(int(n)) }

func join(parts ...rule) rule {
	var r rule
	var words []string
	for _, p := range parts {
		if p.text != "" {
			words = append(words, p.text)
		}
		r.exprs = append(r.exprs, p.exprs...)
	}
	r.text = strings.Join(words, " ")
	return r
}

func meta(key expr.MetaKey, reg uint32) expr.Any { return &expr.Meta{Key: key, Register: reg} }

func equal(reg uint32, data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

// ipv4 must stand before anything that reads an IPv4 header in a table of
// family inet.
func ipv4() rule {
	return rule{"meta nfproto ipv4", []expr.Any{meta(expr.MetaKeyNFPROTO, reg1), equal(reg1, unix.NFPROTO_IPV4)}}
}

func linkIn(key expr.MetaKey, word, set string) rule {
	return rule{word + " @" + set, []expr.Any{
		meta(key, reg1),
		&expr.Lookup{SourceRegister: reg1, SetName: set},
	}}
}

func from(set string) rule { return linkIn(expr.MetaKeyIIFNAME, "iifname", set) }
func to(set string) rule   { return linkIn(expr.MetaKeyOIFNAME, "oifname", set) }

func sameBridge() rule {
	return rule{"iifname . oifname @" + setSame, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), meta(expr.MetaKeyOIFNAME, reg2),
		&expr.Lookup{SourceRegister: reg1, SetName: setSame},
	}}
}

// ownSource matches packets from a subnet into that subnet's bridge. It does
// not ask for iifname: where br_netfilter is loaded, a packet that is
// translated within one bridge has none in postrouting.
func ownSource() rule {
	return join(ipv4(), rule{"oifname . ip saddr @" + setOwn, []expr.Any{
		meta(expr.MetaKeyOIFNAME, reg1), header(reg2, offsetSource, 4),
		&expr.Lookup{SourceRegister: reg1, SetName: setOwn},
	}})
}

// notToOwn matches IPv4 packets that are not for the subnet of the bridge that
// they came in by.
func notToOwn() rule {
	return rule{"iifname . ip daddr != @" + setOwn, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), header(reg2, offsetDest, 4),
		&expr.Lookup{SourceRegister: reg1, SetName: setOwn, Invert: true},
	}}
}

// toSubnet matches what is for any network of ours, its gateway included. The
// protocol is part of the key because sets of ranges need two fields.
func toSubnet() rule {
	return join(ipv4(), rule{"meta nfproto . ip daddr @" + setSubnets, []expr.Any{
		meta(expr.MetaKeyNFPROTO, reg32a), header(reg32b, offsetDest, 4),
		&expr.Lookup{SourceRegister: reg32a, SetName: setSubnets},
	}})
}

// inGroup asks for a link's group, which all bridges of an engine have: it is one
// number, where a name would be looked up.
func inGroup(key expr.MetaKey, word string, op expr.CmpOp, group uint32) rule {
	return rule{fmt.Sprintf("%s %d", word, group), []expr.Any{
		meta(key, reg1), &expr.Cmp{Op: op, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(group)},
	}}
}

func fromOurs(group uint32) rule {
	return inGroup(expr.MetaKeyIIFGROUP, "iifgroup", expr.CmpOpEq, group)
}

func toOurs(group uint32) rule {
	return inGroup(expr.MetaKeyOIFGROUP, "oifgroup", expr.CmpOpEq, group)
}

func notToOurs(group uint32) rule {
	return inGroup(expr.MetaKeyOIFGROUP, "oifgroup !=", expr.CmpOpNeq, group)
}

func notFromLo() rule {
	return rule{`iifname != "lo"`, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: bridgeKey("lo")},
	}}
}

// header loads n bytes at offset of the IPv4 header.
func header(reg, offset, n uint32) expr.Any {
	return &expr.Payload{
		OperationType: expr.PayloadLoad, DestRegister: reg,
		Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n,
	}
}

// Offsets in the IPv4 header and in those of TCP and UDP.
const (
	offsetSource = 12
	offsetDest   = 16
	offsetSport  = 0
	offsetDport  = 2
	offsetUDPSum = 6
	offsetTCPSum = 16
)

func port(reg, offset uint32) expr.Any {
	return &expr.Payload{
		OperationType: expr.PayloadLoad, DestRegister: reg,
		Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2,
	}
}

func inLoopback(word string, offset uint32) rule {
	return join(ipv4(), rule{"ip " + word + " 127.0.0.0/8", []expr.Any{header(reg1, offset, 1), equal(reg1, 127)}})
}

func daddrLoopback() rule { return inLoopback("daddr", offsetDest) }
func saddrLoopback() rule { return inLoopback("saddr", offsetSource) }

// toHost matches any address of the host.
func toHost() rule {
	return rule{"fib daddr type local", []expr.Any{
		&expr.Fib{Register: reg1, ResultADDRTYPE: true, FlagDADDR: true},
		equal(reg1, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

// wayBack matches packets whose source the host would answer by the link that
// they came in by: not a foreign one, unless the host has a route there.
func wayBack() rule {
	return rule{"fib saddr . iif oif exists", []expr.Any{
		&expr.Fib{Register: reg1, ResultOIF: true, FlagSADDR: true, FlagIIF: true, FlagPRESENT: true},
		equal(reg1, binaryutil.NativeEndian.PutUint32(1)...),
	}}
}

// notLinkLocal leaves out what a link-local address says on its link.
func notLinkLocal() rule {
	return rule{"ip saddr != 169.254.0.0/16", []expr.Any{
		header(reg1, offsetSource, 2), &expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: []byte{169, 254}},
	}}
}

// dnatTo looks the packet up in one of the two maps and translates its
// destination; without an element the rule does not match.
func dnatTo(name string) rule {
	text := "dnat ip to meta l4proto . th dport map @" + name
	exprs := []expr.Any{meta(expr.MetaKeyL4PROTO, reg32a), port(reg32b, offsetDport)}
	if name == mapPublishedOn {
		text = "dnat ip to meta l4proto . ip daddr . th dport map @" + name
		exprs = []expr.Any{meta(expr.MetaKeyL4PROTO, reg32a), header(reg32b, offsetDest, 4), port(reg32c, offsetDport)}
	}
	return rule{text, append(exprs,
		&expr.Lookup{SourceRegister: reg32a, DestRegister: reg1, IsDestRegSet: true, SetName: name},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1, RegProtoMin: reg32b},
	)}
}

// bits matches when any of mask is set in a conntrack field.
func bits(text string, key expr.CtKey, mask uint32) rule {
	return rule{text, []expr.Any{
		&expr.Ct{Key: key, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}}
}

func established() rule {
	return bits("ct state established,related", expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// Of enum ip_conntrack_status, linux/netfilter/nf_conntrack_common.h.
const (
	ipsSrcNAT = 1 << 4
	ipsDstNAT = 1 << 5
)

func translated() rule { return bits("ct status dnat", expr.CtKeySTATUS, ipsDstNAT) }

// translatedAnyhow matches also what answers a process of the host's that spoke
// from 127.0.0.1 and was masqueraded.
func translatedAnyhow() rule {
	return bits("ct status snat,dnat", expr.CtKeySTATUS, ipsSrcNAT|ipsDstNAT)
}

func accept() rule { return rule{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}} }
func drop() rule   { return rule{"drop", []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}} }

// goTo goes on in a chain, which is created before, and not behind the rule.
func goTo(name string) rule {
	return rule{"goto " + name, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: name}}}
}

func masquerade() rule { return rule{"masquerade", []expr.Any{&expr.Masq{}}} }

// portOf matches one address and port of a protocol in a table of family ip.
func portOf(p Protocol, addr netip.Addr, number uint16, source bool) rule {
	word, addrAt, portAt := "d", uint32(offsetDest), uint32(offsetDport)
	if source {
		word, addrAt, portAt = "s", offsetSource, offsetSport
	}
	a := addr.As4()
	return rule{
		"ip " + word + "addr " + addr.String() + " " + p.String() + " " + word + "port " + decimal(number),
		[]expr.Any{
			header(reg1, addrAt, 4), equal(reg1, a[:]...),
			meta(expr.MetaKeyL4PROTO, reg1), equal(reg1, byte(p)),
			port(reg1, portAt), equal(reg1, binaryutil.BigEndian.PutUint16(number)...),
		},
	}
}

// setPort writes a port into the packet, and its checksum anew where that is not
// left to the link.
func setPort(p Protocol, number uint16, source bool) rule {
	word, at := "d", uint32(offsetDport)
	if source {
		word, at = "s", offsetSport
	}
	sum := uint32(offsetTCPSum)
	if p == UDP {
		sum = offsetUDPSum
	}
	return rule{p.String() + " " + word + "port set " + decimal(number), []expr.Any{
		&expr.Immediate{Register: reg1, Data: binaryutil.BigEndian.PutUint16(number)},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: reg1,
			Base: expr.PayloadBaseTransportHeader, Offset: at, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: sum,
		},
	}}
}
