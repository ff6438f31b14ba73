// Package dns is the resolver that containers see at 127.0.0.11.
//
// Its sockets are opened inside a container's network namespace (Listen) on
// random high ports; rules there lead port 53 to them
// (network/firewall.LeadResolver). The descriptors live in the keeper, so that
// a lookup during a crash of the daemon waits in the socket and is answered by
// the next daemon. Server answers on them: who asks is known by the socket, not
// by an address that could be forged.
//
// The data flow of one question:
//
//	socket ─▶ Answer(question, Lookup, asker) ─▶ ours: answered at once
//	                                          └▶ foreign: forward from the host's
//	                                             side to Lookup's upstreams
//
// What names mean is decided by Answer and Zone, which are pure but for the
// shuffle handed in; a name that we know is never asked for upstream, whatever
// the type of the question, and an asker without upstreams (all its networks
// are internal) gets NXDOMAIN for what we do not know, so that nothing leaves
// by DNS (CVE-2024-29018).
//
// It is no cache and no recursive server, and it stores nothing: the engine
// fills a Zone, or is the Lookup itself.
package dns
