package firewall

import (
	"slices"

	"github.com/google/nftables"
)

// Mark is the bit that the table sets in each packet to a network of ours. It
// says no more than that the table stands: a routing rule of network.Host lets
// no packet from elsewhere in without it, so that nothing is open between
// somebody's "nft flush ruleset" and the table's return.
const Mark = 0x2000

// priorityMark is right behind the translation of destinations and before the
// choice of a route.
const priorityMark = -90

func chains() []chain {
	published := []rule{
		join(ipv4(), toHost(), dnatTo(mapPublishedOn)),
		join(ipv4(), toHost(), dnatTo(mapPublished)),
	}
	published = append(published, published6()...)
	return []chain{
		{
			name: "raw", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityRaw,
			rules: []rule{
				join(notFromLo(), daddrLoopback(), drop()),
				join(notFromLo(), toSubnet(), toHost(), notToOwn(), drop()),
				join(ipv4(), from(setInternal), toHost(), notToOwn(), drop()),
				join(notFromLo(), toSubnet6(), toHost(), notToOwn6(), drop()),
				join(ipv6(), from(setInternal), toHost(), notToOwn6(), drop()),
				// Who has no way back is not whom he says. What stays on its
				// bridge is nobody's business here, even if br_netfilter shows
				// it. The honest are asked once: this is each packet's way.
				join(from(setBridges), wayBack(), accept()),
				join(ipv4(), from(setBridges), notLinkLocal(), notToOwn(), drop()),
				join(ipv4(), from(setBridges), toHost(), drop()),
				join(ipv6(), from(setBridges), notToOwn6(), drop()),
				join(ipv6(), from(setBridges), toHost(), drop()),
			},
		},
		{
			name: "prerouting", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityNATDest,
			rules: append(slices.Clone(published), guestsToLoopback()),
		},
		{
			name: "marking", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookPrerouting, priority: priorityMark,
			rules: []rule{join(toSubnet(), setMark()), join(toSubnet6(), setMark())},
		},
		{
			name: "output", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookOutput, priority: *nftables.ChainPriorityNATDest,
			rules: published,
		},
		{
			name: "forward", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookForward, priority: *nftables.ChainPriorityFilter,
			rules: []rule{
				join(established(), accept()),
				join(sameBridge(), accept()),
				join(from(setInternal), drop()),
				join(to(setInternal), drop()),
				join(to(setBridges), translated(), accept()),
				join(to(setBridges), drop()),
				join(from(setBridges), to(setStrangers), translated(), accept()),
				join(from(setBridges), to(setStrangers), drop()),
			},
		},
		{
			name: "postrouting", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPostrouting, priority: *nftables.ChainPriorityNATSource,
			rules: []rule{
				join(to(setBridges), saddrLoopback(), masquerade()),
				join(ownSource(), translated(), masquerade()),
				join(ownSource6(), translated(), masquerade()),
				// The target may be on the asker's network too, and would
				// answer past us.
				join(from(setBridges), to(setBridges), translated(), masquerade()),
				join(from(setMasked), notTo(setBridges), masquerade()),
			},
		},
	}
}
