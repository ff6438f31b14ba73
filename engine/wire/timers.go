package wire

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Slack of timers in nanoseconds, PR_SET_TIMERSLACK(2const): the kernel's own,
// and that of a process which mostly waits. Go's runtime has a thread that looks
// after the others every 20 microseconds while there is work, fifty times before
// it takes longer: in a monitor, whose whole work is a start of 5 ms, these were a
// tenth of its processor time and half of its context switches.
const (
	promptSlack  = 50_000
	patientSlack = 1_000_000
)

// withTimers runs f, which starts a process, on a thread whose children's timers
// are as said.
func withTimers(patient bool, f func()) {
	slack := promptSlack
	if patient {
		slack = patientSlack
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil && before != slack {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) // or it wakes more often
		defer unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0)
	}
	f()
}
