package wire

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Inherited are the descriptors that keeper, monitor and proxy are started with.
type Inherited struct {
	Binary, Small *os.File
	Listener      *Listener
	Lock          *os.File // held as long as it is open
}

// TakeInherited takes them over; nothing that the process starts gets them
// without being given them, nor what else was open in the shell of whoever
// started the first keeper, a lock of flock(1) for one.
func TakeInherited() (Inherited, error) { return takeInherited(FDBinary) }

// TakeInheritedOfUnit is TakeInherited in the keeper of a unit.
func TakeInheritedOfUnit() (Inherited, error) { return takeInherited(unitBase) }

func takeInherited(base int) (Inherited, error) {
	in, err := takePrograms(base)
	if err != nil {
		return Inherited{}, err
	}
	last := base + FDLock - FDBinary
	if _, err := unix.FcntlInt(uintptr(last), unix.F_GETFD, 0); err != nil {
		return Inherited{}, missing(last)
	}
	in.Lock = os.NewFile(uintptr(last), "lock")
	in.Listener, err = InheritedListener(base + FDListener - FDBinary)
	return in, err
}

// takePrograms takes the first two of them, and keeps the rest from what the
// process starts.
func takePrograms(base int) (Inherited, error) {
	last := base + FDListener - FDBinary
	for fd := base; fd <= last; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return Inherited{}, missing(fd)
		}
	}
	if err := unix.CloseRange(uint(base), ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return Inherited{}, fmt.Errorf("cannot begin: keep descriptors from what it starts: %w", err)
	}
	return Inherited{
		Binary: os.NewFile(uintptr(base), "mycompose"),
		Small:  os.NewFile(uintptr(base+FDSmall-FDBinary), "mycompose-small"),
	}, nil
}

func missing(fd int) error {
	return fmt.Errorf("cannot begin: descriptor %d is missing: this program is started by mycompose only", fd)
}

// BecomeParent gives a role what keeper and monitor have in common: its name
// in place of the descriptor's number, orphans below it as children
// (PR_SET_CHILD_SUBREAPER(2)), and the default umask.
func BecomeParent(name string) error {
	if err := TakeName(name); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot begin: become subreaper: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// TakeName shows the role in place of the descriptor's number: comm(5) of the
// process is that of its main thread, 15 bytes.
func TakeName(name string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name[:min(len(name), 15)]), 0); err != nil {
		return fmt.Errorf("cannot begin: %w", err)
	}
	return nil
}

// LowerOOMScore makes the kernel spare this process when memory runs out,
// where that is permitted (CAP_SYS_RESOURCE). It returns what its children
// should be given back.
func LowerOOMScore() (before int) {
	const path = "/proc/self/oom_score_adj"
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	before, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	_ = os.WriteFile(path, []byte("-999"), 0)
	return before
}
