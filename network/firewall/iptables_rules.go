package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// jump leads from a chain of the kernel's to one of ours.
type jump struct {
	table, from, to string
	match           []string
}

// chainOf names a chain of an engine; at most 28 bytes.
func chainOf(tag, what string) string { return "MYCOMPOSE-" + tag + "-" + what }

func (t *IPTables) jumps() []jump {
	local := []string{"-m", "addrtype", "--dst-type", "LOCAL"}
	return []jump{
		{"raw", "PREROUTING", chainOf(t.tag, "RAW"), nil},
		{"nat", "PREROUTING", chainOf(t.tag, "IN"), local},
		{"nat", "OUTPUT", chainOf(t.tag, "IN"), local},
		{"nat", "POSTROUTING", chainOf(t.tag, "OUT"), nil},
		{"filter", "FORWARD", chainOf(t.tag, "FORWARD"), nil},
	}
}

// IPTablesRules is a state in the form of iptables-restore(8), with our own
// chains only. Equal states give equal texts. The rules mean what chains says
// for nf_tables, with one rule per network where that has a set.
func IPTablesRules(tag, prefix string, s State) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	for _, n := range s.Networks {
		if n.Subnet.Addr().Is6() {
			return "", fmt.Errorf("cannot write rules for subnet %s: IPv6 networks need nf_tables, and %w", n.Subnet, ErrUnsupported)
		}
	}
	networks := slices.SortedFunc(slices.Values(s.Networks), func(a, b Network) int { return strings.Compare(a.Bridge, b.Bridge) })
	ports := slices.SortedFunc(slices.Values(s.Ports), func(a, b Port) int { return strings.Compare(a.String(), b.String()) })
	var b strings.Builder
	section := func(table string, chains map[string][]string, order ...string) {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, c := range order {
			fmt.Fprintf(&b, ":%s - [0:0]\n", chainOf(tag, c))
		}
		for _, c := range order {
			for _, rule := range chains[c] {
				fmt.Fprintf(&b, "-A %s %s\n", chainOf(tag, c), rule)
			}
		}
		b.WriteString("COMMIT\n")
	}
	section("raw", map[string][]string{"RAW": rawRules(networks)}, "RAW")
	section("nat", map[string][]string{"IN": append(dnatRules(ports), guestRules(networks, s.Guests)...), "OUT": masqueradeRules(prefix, networks)}, "IN", "OUT")
	section("filter", map[string][]string{"FORWARD": forwardRules(networks, s.Strangers)}, "FORWARD")
	return b.String(), nil
}

// guestRules lead what guests send to their gateway on to 127.0.0.1.
func guestRules(networks []Network, guests []Guest) []string {
	var rules []string
	for _, g := range slices.SortedFunc(slices.Values(guests), func(a, b Guest) int { return a.Addr.Compare(b.Addr) }) {
		for _, n := range networks {
			if n.Bridge == g.Bridge {
				rules = append(rules, fmt.Sprintf("-i %s -s %s/32 -d %s -j DNAT --to-destination 127.0.0.1", g.Bridge, g.Addr, n.Subnet))
			}
		}
	}
	return rules
}

func rawRules(networks []Network) []string {
	rules := []string{"-i lo -j RETURN", "-d 127.0.0.0/8 -j DROP"}
	const local = "-m addrtype --dst-type LOCAL -j DROP"
	for _, n := range networks {
		rules = append(rules, fmt.Sprintf("! -i %s -d %s %s", n.Bridge, n.Subnet, local))
		if n.Internal {
			rules = append(rules, fmt.Sprintf("-i %s ! -d %s %s", n.Bridge, n.Subnet, local))
		}
	}
	return append(rules, sourceRules(networks)...)
}

// sourceRules drop what comes with a foreign source and does not stay on its
// bridge. A route of the host's to such a source counts for nothing here, other
// than with nf_tables.
func sourceRules(networks []Network) []string {
	var own, foreign []string
	for _, n := range networks {
		own = append(own,
			fmt.Sprintf("-i %s -s %s -j RETURN", n.Bridge, n.Subnet),
			fmt.Sprintf("-i %s -d %s -m addrtype ! --dst-type LOCAL -j RETURN", n.Bridge, n.Subnet))
		for _, source := range []string{"0.0.0.0/32", "169.254.0.0/16"} {
			own = append(own, fmt.Sprintf("-i %s -s %s -m addrtype ! --dst-type LOCAL -j RETURN", n.Bridge, source))
		}
		foreign = append(foreign, fmt.Sprintf("-i %s -j DROP", n.Bridge))
	}
	return append(own, foreign...)
}

// dnatRules: what is published on one address comes before what is on all.
func dnatRules(ports []Port) []string {
	var one, all []string
	for _, p := range ports {
		rule := fmt.Sprintf("-p %s --dport %d -j DNAT --to-destination %s", p.Protocol, p.HostPort, p.Target)
		if p.everywhere() {
			all = append(all, rule)
		} else {
			one = append(one, fmt.Sprintf("-d %s %s", p.Host, rule))
		}
	}
	return append(one, all...)
}

func masqueradeRules(prefix string, networks []Network) []string {
	var rules []string
	for _, n := range networks {
		const translated = "-m conntrack --ctstate DNAT -j MASQUERADE"
		rules = append(rules,
			fmt.Sprintf("-o %s -s 127.0.0.0/8 -j MASQUERADE", n.Bridge),
			fmt.Sprintf("-s %s -o %s %s", n.Subnet, n.Bridge, translated),
			fmt.Sprintf("-s %s -o %s+ %s", n.Subnet, prefix, translated))
		if !n.NoMasquerade {
			rules = append(rules, fmt.Sprintf("-s %s ! -o %s -j MASQUERADE", n.Subnet, n.Bridge))
		}
	}
	return rules
}

// forwardRules accept by themselves, unlike those of nf_tables, since a policy
// of drop would follow.
func forwardRules(networks []Network, strangers []string) []string {
	var inside, to, from []string
	for _, n := range networks {
		same := "ACCEPT"
		if n.NoICC {
			inside = append(inside, fmt.Sprintf("-i %s -o %s -m conntrack --ctstate DNAT,ESTABLISHED,RELATED -j ACCEPT", n.Bridge, n.Bridge))
			same = "DROP"
		}
		inside = append(inside, fmt.Sprintf("-i %s -o %s -j %s", n.Bridge, n.Bridge, same))
		if n.Internal {
			to = append(to, fmt.Sprintf("-i %s -j DROP", n.Bridge), fmt.Sprintf("-o %s -j DROP", n.Bridge))
			continue
		}
		from = append(from,
			fmt.Sprintf("-o %s -m conntrack --ctstate DNAT,ESTABLISHED,RELATED -j ACCEPT", n.Bridge),
			fmt.Sprintf("-o %s -j DROP", n.Bridge))
	}
	for _, n := range networks {
		for _, l := range strangers {
			from = append(from, fmt.Sprintf("-i %s -o %s -m conntrack ! --ctstate DNAT,ESTABLISHED,RELATED -j DROP", n.Bridge, l))
		}
		if !n.Internal {
			from = append(from, fmt.Sprintf("-i %s -j ACCEPT", n.Bridge))
		}
	}
	return slices.Concat(inside, to, from)
}

// resolverIPTables is ResolverRules for a kernel without nf_tables: what goes
// to port 53 of addr, and what comes from the resolver's own ports.
func resolverIPTables(addr netip.Addr, udpPort, tcpPort uint16) (text string, jumps []jump) {
	const out, back = "MYCOMPOSE-DNS", "MYCOMPOSE-DNS-BACK"
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n:%s - [0:0]\n", out, back)
	for _, p := range []struct {
		protocol string
		port     uint16
	}{{"udp", udpPort}, {"tcp", tcpPort}} {
		fmt.Fprintf(&b, "-A %s -d %s -p %s --dport 53 -j DNAT --to-destination %s:%d\n", out, addr, p.protocol, addr, p.port)
		fmt.Fprintf(&b, "-A %s -s %s -p %s --sport %d -j SNAT --to-source %s:53\n", back, addr, p.protocol, p.port, addr)
	}
	b.WriteString("COMMIT\n")
	return b.String(), []jump{{"nat", "OUTPUT", out, nil}, {"nat", "POSTROUTING", back, nil}}
}

// closedIPTables is ClosedRules for such a kernel. The second of the jumps stands
// in the text, once per link; it is here for the sake of its chain.
func closedIPTables(links []string) (text string, jumps []jump) {
	const from, to = "MYCOMPOSE-CLOSED", "MYCOMPOSE-CLOSED-TO"
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:%s - [0:0]\n:%s - [0:0]\n", from, to)
	for _, l := range links {
		fmt.Fprintf(&b, "-A %s -i %s -j %s\n-A %s -o %s -j DROP\n", from, l, to, to, l)
	}
	b.WriteString("COMMIT\n")
	return b.String(), []jump{{"filter", "FORWARD", from, nil}, {"filter", from, to, []string{"-i", "lo"}}}
}
