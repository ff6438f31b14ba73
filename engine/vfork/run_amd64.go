//go:build !stage

package vfork

import "unsafe"

// Possible reports whether Run works on this architecture.
const Possible = true

//go:noescape
func run(clone unsafe.Pointer, size uintptr, first *Call, state *State) (pid int64)

//go:noescape
func getrlimit(resource uintptr, limit *[2]uint64) (failure int64)
