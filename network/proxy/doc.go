// Package proxy is the role of the small program that copies connections where
// the kernel cannot translate them: from an IPv6 address of the host (::1) to
// an IPv4 container, or on hosts without route_localnet.
//
// It is handed listening places as descriptors that the keeper reserved
// (network/port), and listens on them only while they are in its table, so that
// a port without a proxy refuses at once. Bytes of TCP go through splice(2) and
// are not copied to user space. Of UDP each client has a socket of its own
// towards the container, which is forgotten after 90 seconds of silence. The
// source address that a container sees is the bridge's.
//
// The table changes by messages from the daemon. It survives the daemon; it
// leaves when its table has become empty.
//
//	Next ─▶ Add    ─▶ listen, accept ─▶ connect to Target ─▶ two splices
//	        Remove ─▶ stop listening, end its connections
//	        Drain  ─▶ stop listening, let its connections end by themselves
//	        Move   ─▶ listen on, lead to another target, hold or let through
//
// An entry that holds accepts at once and connects later: while a container is
// started or made anew nobody is refused. Drain, a Move without a hold, or the end
// of the hold lets what has come so far through.
//
// It belongs to the small program: no net, log/slog or os/exec.
package proxy
