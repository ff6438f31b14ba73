package doctor

import (
	"strings"
)

func netfilter(f Facts) []Finding {
	switch there, _ := f.module("nf_tables"); {
	case f.NFTables:
		return []Finding{ok("nftables", "the kernel answers")}
	case there:
		return []Finding{ok("nftables", "a module, loaded at the first use")}
	}
	return []Finding{lacks("nftables", "the kernel has no nf_tables, or we have no right to it: no networks, no published ports",
		"modprobe nf_tables, or use a distribution's kernel")}
}

func links(f Facts) []Finding {
	var missing []string
	all := true
	for _, name := range []string{"bridge", "veth"} {
		switch there, known := f.module(name); {
		case there:
		case known:
			missing = append(missing, name)
		default:
			all = false
		}
	}
	switch {
	case len(missing) > 0:
		return []Finding{lacks("bridges", "the kernel has no "+strings.Join(missing, " and no "), "modprobe "+strings.Join(missing, " ")+", or use a distribution's kernel")}
	case !all:
		return []Finding{ok("bridges", "not in use yet; this kernel does not tell what it was built with")}
	}
	return []Finding{ok("bridges", "bridge and veth")}
}

func forwarding(f Facts) []Finding {
	value, told := f.Sysctl["net.ipv4.ip_forward"]
	switch {
	case !told:
		return []Finding{lacks("forwarding", "net.ipv4.ip_forward is not there", "use a kernel with CONFIG_INET")}
	case value == 0 && f.SysReadOnly:
		return []Finding{lacks("forwarding", "net.ipv4.ip_forward is 0 and cannot be written", "sysctl net.ipv4.ip_forward=1 outside of this container")}
	case value == 0:
		return []Finding{ok("forwarding", "off; switched on while a container needs it")}
	}
	return []Finding{ok("forwarding", "on")}
}

// neighbours are other programs that write the firewall. Chains that drop what
// is forwarded are opened for our bridges where nf_tables holds them
// (network/firewall), not where the older ip_tables does.
func neighbours(f Facts) []Finding {
	var out []Finding
	if f.LegacyFilter {
		out = append(out, weak("firewall", "the filter table of iptables-legacy is loaded; what its FORWARD chain drops is dropped for us too",
			"iptables-legacy -I FORWARD -i mc+ -j ACCEPT; iptables-legacy -I FORWARD -o mc+ -j ACCEPT"))
	}
	if len(f.Firewalls) == 0 && len(out) == 0 {
		return []Finding{ok("firewall", "nobody else's")}
	}
	for _, name := range f.Firewalls {
		out = append(out, ok("firewall", "%s; our rules stand in a table of their own beside it", name))
	}
	return out
}

func resolver(f Facts) []Finding {
	if len(f.Nameservers) == 0 {
		return []Finding{weak("DNS", "/etc/resolv.conf names no server: containers find each other, and nothing outside", "name one: echo nameserver ADDRESS >> /etc/resolv.conf")}
	}
	return []Finding{ok("DNS", "names of other hosts from %s; in each container port 53 of 127.0.0.11 is ours", strings.Join(f.Nameservers, ", "))}
}
