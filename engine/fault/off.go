//go:build !faults

package fault

// Point is a moment at which the process may be killed.
func Point(string) {}

// Errno is the error of a call that shall fail, nil otherwise.
func Errno(string) error { return nil }
