// Package vfork starts a program by a list of system calls that a child makes
// which shares our memory, as after vfork(2): no Go runs in it, no page of ours
// is copied, and whatever is to happen between clone(2) and execve(2) can.
//
// The list is prepared by the parent in memory outside of the Go heap. Each
// call says which errors are fine and where the list then goes on; a result can
// be an argument of later calls. What the child did is in the same memory when
// the parent goes on: which call failed, with what errno.
//
//	parent (one locked thread)             child
//	  │ clone3(CLONE_VM, CLONE_VFORK, …) ──▶│ call, call, call …
//	  │ suspended by the kernel             │
//	  │◀──────────── the memory is free: execve(2), or exit
//	  │ looks at what failed
//
// Without CLONE_VFORK the parent goes on at once, and leaves the memory alone until
// the child has ended.
//
// The child uses no stack and touches nothing of the Go runtime, so that the
// rules of vfork(2) hold: run_amd64.s is all that it executes of ours.
//
// The package imports nothing but unsafe: so it is initialised before package
// syscall, which changes a limit that must be known (Original).
package vfork
