//go:build !amd64

package main

import "golang.org/x/sys/unix"

// int80 has no counterpart here.
func int80(number, arg uint32) int32 { return -int32(unix.EPERM) }
