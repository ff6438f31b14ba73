package vfork

import "unsafe"

// Call is one system call of a list. Its layout is known to run_amd64.s. It
// lies in memory that does not move and that outlives the child, see List.
type Call struct {
	number int64 // -1: no call but a comparison, see Check
	args   [6]uint64
	// indirect has a bit for each argument that is an address whose content
	// counts.
	indirect uint64
	// accept has a bit for each errno that is no failure.
	accept         [2]uint64
	onAccept, next *Call
	result, errno  uint64
}

// State is what a child has come to.
type State struct {
	current, failed *Call
}

// CloneArgs is struct clone_args of clone3(2).
type CloneArgs struct {
	Flags, PIDFD, ChildTID, ParentTID, ExitSignal uint64
	Stack, StackSize, TLS, SetTID, SetTIDSize     uint64
	Cgroup                                        uint64
}

// Errno is what the call ended with last, 0 for success or not made.
func (c *Call) Errno() uintptr { return uintptr(c.errno) }

// Accept makes errors no failure: the list goes on with the next call.
func (c *Call) Accept(errnos ...uintptr) *Call {
	for _, e := range errnos {
		c.accept[e/64] |= 1 << (e % 64)
	}
	return c
}

// AcceptAll makes no error a failure.
func (c *Call) AcceptAll() *Call {
	c.accept = [2]uint64{^uint64(0), ^uint64(0)}
	return c
}

// Next sets where the list goes on after success.
func (c *Call) Next(to *Call) { c.next = to }

// OnAccept sets where the list goes on after an accepted error.
func (c *Call) OnAccept(to *Call) { c.onAccept = to }

// Run clones a child that makes the calls of the list. The calling goroutine
// must be locked to its thread, with all signals blocked. It returns once the
// child has executed a program or ended; pid is negative if there is none, and
// then an errno.
func (l *List) Run(clone *CloneArgs) (pid int64) {
	l.link()
	args := (*CloneArgs)(l.room(unsafe.Sizeof(*clone)))
	*args = *clone
	return run(unsafe.Pointer(args), unsafe.Sizeof(*clone), l.first(), l.state)
}

// Failed is the call that failed, nil if none did.
func (l *List) Failed() *Call { return l.state.failed }

// Current is the call that was made last; it need not have come to its end.
func (l *List) Current() *Call { return l.state.current }

// rlimitNofile is RLIMIT_NOFILE, asm-generic/resource.h.
const rlimitNofile = 7

// original is read before package syscall is initialised, as ready packages are
// in the order of their paths (Go specification, "Program initialization").
var original = readOriginal()

func readOriginal() (limit [2]uint64) {
	if getrlimit(rlimitNofile, &limit) != 0 {
		return [2]uint64{}
	}
	return limit
}

// Original are the limits of open files that this process was started with, 0
// if they could not be read. Package syscall raises the soft one to the hard one
// while a program starts, and only its own ways of starting a process put it
// back.
func Original() (soft, hard uint64) { return original[0], original[1] }
