package firewall

import "github.com/google/nftables"

// inChains see what comes in, in the order of the hooks:
//
//	raw         each packet, before the kernel looks for its connection
//	first       the first of a connection, before anybody translates it
//	prerouting  the same, to translate it
//	input       what is for the host, whichever packet of a connection
//
// The kernel asks chains of kind nat no further once one has translated, and among
// those of one priority the youngest first.
//
// What passes through the host, as to a published port, is asked in raw alone, and
// there no more than whether it comes from a bridge of ours.
func inChains(group uint32) []chain {
	foreign := []rule{
		join(notFromLo(), daddrLoopback(), drop()),
		join(notFromLo(), toSubnet(), toHost(), notToOwn(), drop()),
		join(ipv4(), from(setInternal), toHost(), notToOwn(), drop()),
		join(notFromLo(), toSubnet6(), toHost(), notToOwn6(), drop()),
		join(ipv6(), from(setInternal), toHost(), notToOwn6(), drop()),
	}
	return []chain{
		{
			name: "bridged",
			rules: []rule{
				// Who has no way back is not whom he says. What stays on its
				// bridge is nobody's business here, even if br_netfilter shows
				// it.
				join(wayBack(), accept()),
				join(ipv4(), notLinkLocal(), notToOwn(), drop()),
				join(ipv6(), notToOwn6(), drop()),
				join(toHost(), drop()),
			},
		},
		{
			name: "raw", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityRaw,
			rules: []rule{join(fromOurs(group), goTo("bridged"))},
		},
		{
			name: "first", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityNATDest - 1,
			rules: foreign,
		},
		{
			name: "prerouting", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityNATDest,
			rules: append(published(), guestsToLoopback()),
		},
		{
			name: "input", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookInput, priority: *nftables.ChainPriorityRaw,
			rules: append([]rule{join(translatedAnyhow(), accept())}, foreign...),
		},
	}
}

// published translate what is for a port of the host's that is a container's.
func published() []rule {
	return append([]rule{
		join(ipv4(), toHost(), dnatTo(mapPublishedOn)),
		join(ipv4(), toHost(), dnatTo(mapPublished)),
	}, published6()...)
}

func chains(group uint32) []chain {
	return append(inChains(group),
		chain{
			name: "output", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookOutput, priority: *nftables.ChainPriorityNATDest,
			rules: published(),
		},
		chain{
			name: "forward", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookForward, priority: *nftables.ChainPriorityFilter,
			rules: []rule{
				join(established(), accept()),
				join(sameBridge(), accept()),
				join(from(setInternal), drop()),
				join(to(setInternal), drop()),
				join(toOurs(group), translated(), accept()),
				join(toOurs(group), drop()),
				join(fromOurs(group), to(setStrangers), translated(), accept()),
				join(fromOurs(group), to(setStrangers), drop()),
			},
		},
		chain{
			name: "postrouting", kind: nftables.ChainTypeNAT,
			hook: nftables.ChainHookPostrouting, priority: *nftables.ChainPriorityNATSource,
			rules: []rule{
				join(toOurs(group), saddrLoopback(), masquerade()),
				join(ownSource(), translated(), masquerade()),
				join(ownSource6(), translated(), masquerade()),
				// The target may be on the asker's network too, and would
				// answer past us.
				join(fromOurs(group), toOurs(group), translated(), masquerade()),
				join(from(setMasked), notToOurs(group), masquerade()),
			},
		},
	)
}
