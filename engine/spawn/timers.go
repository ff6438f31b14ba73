package spawn

import "golang.org/x/sys/unix"

// slack is the kernel's own slack of timers in nanoseconds, PR_SET_TIMERSLACK(2const).
const slack = 50_000

// promptTimers gives what the calling thread forks the timers of any process:
// those of a monitor may be late.
func promptTimers() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0) }
