package firewall

import (
	"slices"

	"github.com/google/nftables"
)

// rawChains see each packet, of standing connections too, before the kernel looks
// for its connection: they ask once where it comes from. What comes from a bridge
// of ours goes on in a chain of its address family.
func rawChains() []chain {
	return []chain{
		{
			name: "bridged6",
			rules: []rule{
				join(toSubnet6(), toHost(), notToOwn6(), drop()),
				join(ipv6(), from(setInternal), toHost(), notToOwn6(), drop()),
				join(wayBack(), accept()),
				join(ipv6(), notToOwn6(), drop()),
				join(toHost(), drop()),
			},
		},
		{
			name: "bridged_to_host",
			rules: []rule{
				join(toSubnet(), notToOwn(), drop()),
				join(ipv4(), from(setInternal), notToOwn(), drop()),
				join(wayBack(), accept()),
				drop(),
			},
		},
		{
			name: "bridged",
			rules: []rule{
				join(ipv6(), goTo("bridged6")),
				join(daddrLoopback(), drop()),
				join(toHost(), goTo("bridged_to_host")),
				// Who has no way back is not whom he says. What stays on its
				// bridge is nobody's business here, even if br_netfilter shows
				// it.
				join(wayBack(), accept()),
				join(ipv4(), notLinkLocal(), notToOwn(), drop()),
			},
		},
		{
			name: "raw", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityRaw,
			rules: []rule{
				join(fromLo(), accept()),
				join(from(setBridges), goTo("bridged")),
				join(daddrLoopback(), drop()),
				join(ipv4(), toLink(), accept()), // most packets; it costs less than a range
				join(toSubnet(), toHost(), drop()),
				join(toSubnet6(), toHost(), drop()),
			},
		},
	}
}

func chains() []chain {
	published := []rule{
		join(ipv4(), toHost(), dnatTo(mapPublishedOn)),
		join(ipv4(), toHost(), dnatTo(mapPublished)),
	}
	published = append(published, published6()...)
	return append(rawChains(),
		chain{
			name: "prerouting", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityNATDest,
			rules: append(slices.Clone(published), guestsToLoopback()),
		},
		chain{
			name: "output", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookOutput, priority: *nftables.ChainPriorityNATDest,
			rules: published,
		},
		chain{
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
		chain{
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
	)
}
