//go:build !faults

package fault

// Point is a moment at which the process may be killed.
func Point(string) {}

// Environment is what a process must be started with for faults to reach it.
func Environment() []string { return nil }

// Errno is the error of a call that shall fail, nil otherwise.
func Errno(string) error { return nil }
