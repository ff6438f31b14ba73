// Package firewall writes the packet rules of the networks, over netlink, into
// one nf_tables table of our own per engine. Beside it stand, where they are
// needed, two rules in a forward chain of others that refuses what it does not
// know (Table.Admit), and one table per host that keeps it from becoming a router
// (CloseRouter). Kernels without nf_tables have the same by iptables (IPTables).
//
// Rules is pure: it turns the wanted State into a Ruleset, which prints as nft
// text. Table applies it. The rules themselves never change; networks and
// published ports are elements of sets and maps, so adding or removing one is
// one transaction of a few elements, whatever else stands there:
//
//	internal  those without a way out               set of names
//	same      bridge . bridge, "stays on one"       set of pairs
//	masked    those whose packets leave with the host's address
//	own       bridge . its subnet                   set of pairs
//	subnets   protocol . subnet                     set of pairs
//	strangers bridges of other engines              set of names
//	guests    bridge . address that may reach the host's loopback
//	own6, subnets6, published6, published6_on   the same of IPv6
//	published     protocol . port          -> container address . port
//	published_on  protocol . address . port -> container address . port
//
// The way of a packet through the table:
//
//	raw        from a bridge of ours, with a source that has
//	           no way back by it, to the host or elsewhere   drop
//	input,     from a link to 127/8                          drop
//	first      to a gateway of ours, not by its own bridge   drop
//	           from an internal bridge to another address
//	           of the host                                   drop
//	prerouting \ to an address of the host and in published_on
//	output     / or published                                dnat
//	forward    established or related                        accept
//	           within one bridge                             accept
//	           from or to an internal bridge                 drop
//	           to a bridge of ours, translated               accept
//	           to a bridge of ours                           drop
//	           from a bridge of ours to a stranger's,
//	           not translated                                drop
//	postrouting  from 127/8 to a bridge of ours              masquerade
//	             translated, from a subnet to its bridge     masquerade
//	             translated, from one bridge of ours to
//	             another                                     masquerade
//	             from a masked bridge to elsewhere           masquerade
//
// Bridges of ours are known by their link group. In input the drops are for what
// is not translated, in first for the first packet of a connection, before anybody's
// translation.
//
// What follows: networks do not reach each other except through published
// ports, as users expect; unpublished ports are reached by neighbours and by the
// host only; a port published on 127.0.0.1 is reached by the host only, neither
// by frames sent to 127.0.0.1 nor by routing to the container; an internal
// network is reached by the host only, publishes nothing and gets nowhere.
// ShieldRules, in a table that nobody flushes, keep shut what the rules here keep
// shut, so that a flush opens nothing. Table.Watch tells of a flush.
//
// "accept" ends our own table only: the host's firewall still has its say, and
// a policy of drop in its forward chain (dockerd, ufw) must be opened there.
package firewall
