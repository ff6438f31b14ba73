package engine

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ageOf is how long a process has been there, by the kernel's clock, which
// nobody sets. Of one that has gone it is the time since started by the wall
// clock, and never negative.
func ageOf(pid int, started time.Time) time.Duration {
	if age, err := processAge("/proc", pid); err == nil {
		return age
	}
	return max(time.Since(started), 0)
}

// processAge reads the age of a process below proc: proc_pid_stat(5), field 22,
// counts from the machine's start, as CLOCK_BOOTTIME of clock_gettime(2) does.
func processAge(proc string, pid int) (time.Duration, error) {
	stat, err := os.ReadFile(proc + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	boot := time.Unix(0, 0)
	p, err := parseStat(string(stat), boot)
	if err != nil {
		return 0, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, err
	}
	return max(time.Duration(now.Nano())-p.StartedAt.Sub(boot), 0), nil
}
