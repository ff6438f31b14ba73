//go:build !amd64 || stage

package stage

import "golang.org/x/sys/unix"

// initProgram is only for direct starts.
func initProgram() (int, error) { return -1, unix.ENOSYS }

// initFilter is only for direct starts.
func initFilter() []byte { return nil }
