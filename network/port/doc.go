// Package port reserves ports of the host by really binding them, and names
// who has one that is taken.
//
// A reservation is a socket that is bound, without SO_REUSEADDR, and does not
// listen: the kernel refuses the port to everybody else, while the rules of
// network/firewall lead its packets to a container before any socket sees
// them. Not listening matters on addresses that rules do not serve (::1): a
// connection is refused at once there, and a client tries the next address,
// where a listening socket would let it hang.
//
// It parses nothing of Compose, writes no rules and keeps nothing: the keeper
// holds the descriptors, so that a reservation outlives the daemon.
package port
