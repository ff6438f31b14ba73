// Package network makes the links that containers talk over: network
// namespaces, bridges, veth pairs, addresses and routes, and the two settings
// of the host that they need (ip_forward and route_localnet). Its rooms decide
// addresses (ipam), write packet rules (firewall), reserve host ports (port),
// answer names (dns) and copy bytes where the kernel cannot (proxy).
//
// It is not a store: it keeps nothing, and the engine keeps what it returns.
// It imports nothing of ours outside its folder.
//
// The way of one container's start, with the call that does each part:
//
//	Host.Plug is the first three of these, in one visit of one thread:
//
//	NewNamespace ── fresh namespace, lo up, IPv6 quiet
//	Host.Attach ─┬─ host:  one message: veth pair, host end on its bridge and up,
//	             │         peer already in the namespace under its final name
//	             └─ inside: one batch: eth0 up, address, default route
//	ListenDNS ───── sockets on 127.0.0.11 and the rules that lead port 53 there
//	firewall.Table.Change ── published ports, one transaction
//
// Invariants:
//   - every call may be repeated: ensuring an equal thing and removing a
//     missing one are success; a call that fails half-way removes what it made;
//   - nothing is executed: x/sys/unix and netlink messages only;
//   - nobody waits for a veth to go: the kernel takes it with its namespace;
//   - links that still have to be deleted go by link group, all in one message,
//     since each single deletion waits for an RCU grace period (20–40 ms);
//   - every link of ours has a name that begins with the prefix given to it, so
//     that Links finds what a crash left.
//
// Lock order: the host lock (HostLock) is taken before any call of Host.
package network
