package firewall

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// closedTable is one per host, whichever engines are on it; closedTable6 that of
// IPv6, which may be switched on alone.
const (
	closedTable  = tablePrefix + "forward"
	closedTable6 = tablePrefix + "forward6"
)

// closedIn is the table for one setting or the other. That of IPv4 is of both
// families: while IPv6 is not forwarded at all it says nothing about it.
func closedIn(six bool) (name string, family nftables.TableFamily) {
	if six {
		return closedTable6, nftables.TableFamilyIPv6
	}
	return closedTable, nftables.TableFamilyINet
}

const setClosed = "closed"

// ClosedRules keeps the host from being a router between the given links: the
// kernel's forwarding was switched on for our networks alone. Links that come
// later, as dockerd's bridges, are not concerned.
func ClosedRules(six bool, links []string) Ruleset {
	name, family := closedIn(six)
	closed := set{name: setClosed, key: nftables.TypeIFName}
	for _, l := range links {
		closed.add(fmt.Sprintf("%q", l), bridgeKey(l), nil)
	}
	closed.sort()
	both := rule{"iifname @" + setClosed + " oifname @" + setClosed, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), &expr.Lookup{SourceRegister: reg1, SetName: setClosed},
		meta(expr.MetaKeyOIFNAME, reg1), &expr.Lookup{SourceRegister: reg1, SetName: setClosed},
	}}
	return Ruleset{
		name: name, family: family, sets: []set{closed},
		chains: []chain{{
			name: "forward", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookForward, priority: *nftables.ChainPriorityFilter,
			rules: []rule{join(both, drop())},
		}},
	}
}

// CloseRouter makes ClosedRules hold, or adds links to them if they do. again
// says that they were written before, which decides what is tried first: a
// transaction that fails waits 20 to 40 ms for the kernel's readers. A host with
// nothing to close has its table from the first time or needs none. ns is the
// host's namespace or nil.
func CloseRouter(ns *os.File, six bool, links []string, again bool) error {
	if again && len(links) == 0 {
		return nil
	}
	rules := ClosedRules(six, links)
	write := func(c *nftables.Conn) error { return create(c, rules) }
	add := func(c *nftables.Conn) error {
		return eachChunk(rules, 0, rules.sets[0].elems, c.SetAddElements)
	}
	var err error
	if again {
		if err = once(ns, add); errors.Is(err, unix.ENOENT) {
			err = once(ns, write)
		}
	} else if err = once(ns, write); errors.Is(err, unix.EEXIST) {
		err = once(ns, add)
	}
	if errors.Is(err, ErrUnsupported) && !six { // no IPv6 network can be made there
		err = CloseRouterByIPTables(ns, links)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the host from routing for others: %w", err)
	}
	return nil
}

// OpenRouter takes ClosedRules away; none is success.
func OpenRouter(ns *os.File, six bool) error {
	name, family := closedIn(six)
	table := &nftables.Table{Name: name, Family: family}
	err := once(ns, func(c *nftables.Conn) error {
		c.AddTable(table)
		c.DelTable(table)
		return nil
	})
	if errors.Is(err, ErrUnsupported) && six {
		return nil
	}
	if errors.Is(err, ErrUnsupported) {
		err = OpenRouterByIPTables(ns)
	}
	if err != nil {
		return fmt.Errorf("cannot remove table %s: %w", name, err)
	}
	return nil
}

// CloseRouterByIPTables is CloseRouter on a kernel without nf_tables.
func CloseRouterByIPTables(ns *os.File, links []string) error {
	text, jumps := closedIPTables(links)
	if err := restore(ns, text); err != nil {
		return err
	}
	return hook(ns, jumps[:1])
}

// OpenRouterByIPTables takes away what CloseRouterByIPTables has written.
func OpenRouterByIPTables(ns *os.File) error {
	_, jumps := closedIPTables(nil)
	return unhook(ns, jumps)
}

// once sends one transaction over a socket of its own.
func once(ns *os.File, collect func(*nftables.Conn) error) error {
	c, err := dial(ns)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseLasting() }()
	if err := collect(c); err != nil {
		return err
	}
	return explain(c.Flush())
}
