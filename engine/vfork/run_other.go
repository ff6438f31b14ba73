//go:build !amd64 || stage

package vfork

import "unsafe"

// Possible reports whether Run works on this architecture.
const Possible = false

func run(unsafe.Pointer, uintptr, *Call, *State) (pid int64) { return -38 } // ENOSYS

func getrlimit(uintptr, *[2]uint64) (failure int64) { return 38 }
