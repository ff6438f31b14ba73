package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// resolverTable stands in a container's own namespace, next to whatever the
// container writes itself.
const resolverTable = "mycompose_dns"

// ResolverRules leads port 53 of addr, inside a container's namespace, to the
// two high ports that the resolver is bound to, and gives its answers port 53
// back. The second half matters when an answer comes after the kernel has
// forgotten the question (30 s), as when the daemon was away.
func ResolverRules(addr netip.Addr, udpPort, tcpPort uint16) Ruleset {
	const dns = 53
	return Ruleset{
		name:   resolverTable,
		family: nftables.TableFamilyIPv4,
		chains: []chain{
			{
				name: "output", kind: nftables.ChainTypeNAT,
				hook: nftables.ChainHookOutput, priority: *nftables.ChainPriorityNATDest,
				rules: []rule{
					join(portOf(UDP, addr, dns, false), translate(expr.NATTypeDestNAT, addr, udpPort)),
					join(portOf(TCP, addr, dns, false), translate(expr.NATTypeDestNAT, addr, tcpPort)),
				},
			},
			{
				name: "postrouting", kind: nftables.ChainTypeNAT,
				hook: nftables.ChainHookPostrouting, priority: *nftables.ChainPriorityNATSource,
				rules: []rule{
					join(portOf(UDP, addr, udpPort, true), translate(expr.NATTypeSourceNAT, addr, dns)),
					join(portOf(TCP, addr, tcpPort, true), translate(expr.NATTypeSourceNAT, addr, dns)),
				},
			},
		},
	}
}

// LeadResolver writes ResolverRules into the namespace of the calling thread,
// in one transaction, replacing those that stand.
func LeadResolver(addr netip.Addr, udpPort, tcpPort uint16) error {
	err := leadResolver(ResolverRules(addr, udpPort, tcpPort))
	if errors.Is(err, ErrUnsupported) {
		err = LeadResolverByIPTables(addr, udpPort, tcpPort)
	}
	if err != nil {
		return fmt.Errorf("cannot lead port 53 to the resolver: %w", err)
	}
	return nil
}

func leadResolver(rules Ruleset) error {
	var err error
	// Replacing waits for an RCU grace period: only where there is something.
	for _, replace := range []bool{false, true} {
		var b *batch
		if b, err = tableBatch(rules, replace); err == nil {
			err = b.send()
		}
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	return explain(err)
}

// LeadResolverByIPTables is LeadResolver on a kernel without nf_tables.
func LeadResolverByIPTables(addr netip.Addr, udpPort, tcpPort uint16) error {
	text, jumps := resolverIPTables(addr, udpPort, tcpPort)
	if err := restore(nil, text); err != nil {
		return err
	}
	return hook(nil, jumps)
}
