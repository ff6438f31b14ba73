// Package model is a compose project after it was resolved: files found and
// merged, variables filled in, short forms expanded, sizes in bytes, durations
// in nanoseconds, paths absolute. It is what travels over the socket and what
// the daemon keeps.
//
// It is not a parser (compose/load is) and not a decision (compose/plan is).
// It imports nothing of ours and nothing but the standard library.
//
// Invariants:
//   - Plain data: every value survives JSON unchanged (Encode, Decode), so that
//     equal projects have equal bytes. No pointers into other values, no
//     interfaces, no functions.
//   - Maps are keyed by the name in the compose file; lists that have no order
//     of their own are sorted by load, so that equal input gives equal output.
//   - Contents of secrets and configs are never here, only their SHA-256.
//   - Every field is honoured by the planner or refused by the backend; a key
//     of the compose file that has no field here was refused by load.
package model
