// Package ipam decides addresses: which subnet a new network gets, which
// address a container gets in it, and whether what a user wrote about either
// can work.
//
// It is pure: it takes what is in use and returns a choice; it stores nothing,
// asks no kernel, reads no clock. The engine keeps the answers and passes them
// back in.
//
// Invariants:
//   - a chosen subnet overlaps nothing that was given as used;
//   - the gateway, the network address and the broadcast address are never
//     handed out;
//   - a key that holds an address gets the same one again;
//   - addresses go upwards from the last one handed out and wrap around, and
//     recently released ones come last: a dying namespace still answers ARP
//     for its address for some tens of milliseconds.
//
// Both address families go the same way; a network has ranges of each.
package ipam
