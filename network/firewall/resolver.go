package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// resolverTable stands in a container's own namespace, next to whatever the
// container writes itself.
const resolverTable = "mycompose_dns"

// ResolverRules leads port 53 of addr, inside a container's namespace, to the
// two high ports that the resolver is bound to, and gives its answers port 53
// back. The ports are written into the packets: translation (type nat) would have
// the kernel keep connections in the container's namespace, a third of what a
// packet costs on its way through it, and would forget a question before an
// answer that comes late, as when the daemon was away.
//
// Questions are changed before a container's own rules may track connections, and
// answers behind them: these see the high ports both ways, as with translation.
func ResolverRules(addr netip.Addr, udpPort, tcpPort uint16) Ruleset {
	const dns = 53
	return Ruleset{
		name:   resolverTable,
		family: nftables.TableFamilyIPv4,
		chains: []chain{
			{
				name: "output", kind: nftables.ChainTypeFilter,
				hook: nftables.ChainHookOutput, priority: *nftables.ChainPriorityRaw,
				rules: []rule{
					join(portOf(UDP, addr, dns, false), setPort(UDP, udpPort, false)),
					join(portOf(TCP, addr, dns, false), setPort(TCP, tcpPort, false)),
				},
			},
			{
				name: "postrouting", kind: nftables.ChainTypeFilter,
				hook: nftables.ChainHookPostrouting, priority: *nftables.ChainPriorityNATSource,
				rules: []rule{
					join(portOf(UDP, addr, udpPort, true), setPort(UDP, dns, true)),
					join(portOf(TCP, addr, tcpPort, true), setPort(TCP, dns, true)),
				},
			},
		},
	}
}

// LeadResolver writes ResolverRules into the namespace of the calling thread,
// in one transaction, replacing those that stand.
func LeadResolver(addr netip.Addr, udpPort, tcpPort uint16) error {
	_, err := leadResolver(addr, udpPort, tcpPort, false)
	return err
}

// HoldResolver is LeadResolver for a container that may change its own rules:
// "nft flush ruleset" leaves these alone while the socket, or a duplicate of it,
// is open. The socket is nil where there can be none (see Shield).
func HoldResolver(addr netip.Addr, udpPort, tcpPort uint16) (*os.File, error) {
	return leadResolver(addr, udpPort, tcpPort, true)
}

func leadResolver(addr netip.Addr, udpPort, tcpPort uint16, hold bool) (*os.File, error) {
	rules := ResolverRules(addr, udpPort, tcpPort)
	var holder *os.File
	var err error
	if hold {
		holder, err = holdRules(rules)
	} else {
		err = writeRules(rules, (*batch).send)
	}
	if errors.Is(explain(err), ErrUnsupported) {
		err = LeadResolverByIPTables(addr, udpPort, tcpPort)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lead port 53 to the resolver: %w", err)
	}
	return holder, nil
}

// holdRules writes rules as a socket's own, if there can be such. A table that
// persists stays behind without an owner, for its namespace to take: nobody who
// closes the socket waits for an RCU grace period, as with one that goes then.
func holdRules(rules Ruleset) (*os.File, error) {
	var holder *os.File
	rules.owned = true
	for _, rules.persists = range []bool{true, false} {
		err := writeRules(rules, func(b *batch) (err error) {
			holder, err = b.sendAndHold()
			return err
		})
		if !notOwned(err) {
			return holder, err
		}
	}
	rules.owned = false
	return nil, writeRules(rules, (*batch).send)
}

func writeRules(rules Ruleset, write func(*batch) error) error {
	var err error
	// Replacing waits for an RCU grace period: only where there is something.
	for _, replace := range []bool{false, true} {
		var b *batch
		if b, err = tableBatch(rules, replace); err == nil {
			err = write(b)
		}
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	return err
}

// LeadResolverByIPTables is LeadResolver on a kernel without nf_tables.
func LeadResolverByIPTables(addr netip.Addr, udpPort, tcpPort uint16) error {
	text, jumps := resolverIPTables(addr, udpPort, tcpPort)
	if err := restore(nil, text); err != nil {
		return err
	}
	return hook(nil, jumps)
}
