package network

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// loopback is the index of lo in every namespace.
const loopback = 1

// infoMsg is an ifinfomsg for one link, by index or, with 0, by name.
func infoMsg(index int) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	return m
}

func upMsg(index int) *nl.IfInfomsg {
	m := infoMsg(index)
	m.Flags, m.Change = unix.IFF_UP, unix.IFF_UP
	return m
}

func linkUp(index int) message {
	return message{kind: unix.RTM_NEWLINK, parts: []nl.NetlinkRequestData{upMsg(index)}}
}

func linkGroup(index int, group uint32) message {
	return message{kind: unix.RTM_SETLINK, parts: []nl.NetlinkRequestData{infoMsg(index), numberAttr(unix.IFLA_GROUP, group)}}
}

// listLinks asks for all links without their counters, which are most of what
// the kernel would tell of one.
func listLinks() message {
	const skipStats = 8 // RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h
	return message{kind: unix.RTM_GETLINK, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{
		infoMsg(0), numberAttr(unix.IFLA_EXT_MASK, skipStats),
	}}
}

func nameAttr(name string) *nl.RtAttr { return nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)) }

func numberAttr(kind int, n uint32) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint32Attr(n)) }

// newBridge creates a bridge that is up. Its hardware address is fixed, since
// it would otherwise change with its ports.
func newBridge(b Bridge, mac []byte) message {
	m := newSimple(b.Name, "bridge", b.Group)
	m.parts = append(m.parts, nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	if b.MTU > 0 {
		m.parts = append(m.parts, numberAttr(unix.IFLA_MTU, uint32(b.MTU)))
	}
	return m
}

// newPair creates a veth pair: the host end is a port of its bridge, the peer is
// in the namespace ns under its final name. Both are down still: a change of a
// link that is up, such as portMode's, lets the kernel go through all IPv6 routes
// of the host with the lock of all links held.
func newPair(hostName string, bridge int, ns uintptr, e Endpoint) message {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(infoMsg(0))
	peer.AddChild(nameAttr(e.Name))
	peer.AddChild(numberAttr(unix.IFLA_NET_NS_FD, uint32(ns)))
	peer.AddChild(nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC))
	parts := []nl.NetlinkRequestData{
		infoMsg(0), nameAttr(hostName), numberAttr(unix.IFLA_MASTER, uint32(bridge)), info,
	}
	// One queue is what the kernel uses of those that it else makes, one for
	// each processor; leaving the rest alone costs it two RCU grace periods.
	for _, queues := range []int{unix.IFLA_NUM_TX_QUEUES, unix.IFLA_NUM_RX_QUEUES} {
		peer.AddChild(numberAttr(queues, 1))
		parts = append(parts, numberAttr(queues, 1))
	}
	if e.MTU > 0 {
		peer.AddChild(numberAttr(unix.IFLA_MTU, uint32(e.MTU)))
		parts = append(parts, numberAttr(unix.IFLA_MTU, uint32(e.MTU)))
	}
	return message{kind: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, parts: parts}
}

// portMode lets a bridge send a packet back to the port that it came from. It is
// needed where br_netfilter is loaded: a container's packet to its own published
// port is then translated within the bridge and never routed. Isolated ports
// reach the bridge itself and no isolated port (bridge(8)).
// A port has no use for an IPv6 address of its own, as all that it receives is
// the bridge's; without one it has no routes either.
func portMode(hostName string, e Endpoint) message {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	data.AddRtAttr(nl.IFLA_BRPORT_MODE, nl.Uint8Attr(1))
	if e.Isolated {
		data.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, nl.Uint8Attr(1))
	}
	parts := []nl.NetlinkRequestData{infoMsg(0), nameAttr(hostName), info}
	if knowsIPv6() && (e.MTU == 0 || e.MTU >= minIPv6MTU) {
		families := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
		families.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(nl.IN6_ADDR_GEN_MODE_NONE))
		parts = append(parts, families)
	}
	return message{kind: unix.RTM_NEWLINK, parts: parts}
}

// portUp brings a host end up.
func portUp(hostName string) message {
	return message{kind: unix.RTM_NEWLINK, parts: []nl.NetlinkRequestData{upMsg(0), nameAttr(hostName)}}
}

// minIPv6MTU is IPV6_MIN_MTU: a link with less has nothing of IPv6 to be set.
const minIPv6MTU = 1280

// knowsIPv6 says whether the kernel has IPv6 (ipv6.disable=1 takes it away).
var knowsIPv6 = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/sys/net/ipv6/conf")
	return err == nil
})

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// newAddress gives a link an address; the kernel adds the subnet's route. An
// IPv6 address may be used at once: nobody else on the link has it, and waiting
// for proof of that would take one to two seconds.
func newAddress(index int, p netip.Prefix) message {
	m := nl.NewIfAddrmsg(int(family(p.Addr())))
	m.Prefixlen, m.Index = uint8(p.Bits()), uint32(index)
	a := p.Addr().AsSlice()
	parts := []nl.NetlinkRequestData{m, nl.NewRtAttr(unix.IFA_LOCAL, a), nl.NewRtAttr(unix.IFA_ADDRESS, a)}
	if p.Addr().Is6() {
		m.Flags = unix.IFA_F_NODAD
	}
	if p.Addr().IsLinkLocalUnicast() {
		m.Scope = unix.RT_SCOPE_LINK
	}
	return message{kind: unix.RTM_NEWADDR, flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE, parts: parts}
}

// newDefaultRoute leads everything that no other route takes to gateway, or, if
// that is unspecified, to the link itself.
func newDefaultRoute(index int, gateway netip.Addr) message {
	m := nl.NewRtMsg()
	m.Family = family(gateway)
	parts := []nl.NetlinkRequestData{m, numberAttr(unix.RTA_OIF, uint32(index))}
	if gateway.IsUnspecified() {
		m.Scope = unix.RT_SCOPE_LINK
	} else {
		parts = append(parts, nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	}
	return message{kind: unix.RTM_NEWROUTE, flags: unix.NLM_F_CREATE | unix.NLM_F_REPLACE, parts: parts}
}

// attributes walks a list of struct rtattr; nested and byte order flags are
// taken off the kind.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) & 0x3fff
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(kind, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

// text is a C string.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
