package wire

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

// silence is how long an answer may take before it is looked whether the process at
// the other end was stopped.
const silence = 2 * time.Second

// Attend has calls that wait for an answer look, every now and then, whether
// somebody has stopped the process at the other end. A stopped one is let go on:
// what runs must not depend on anybody who would have to do so by hand. find returns
// its pid, 0 if it is not there. Attend comes before the first call.
func (p *Peer) Attend(find func() int) { p.find = find }

// letGoOn looks after the process at the other end, which is one and the same for
// as long as the connection.
func (p *Peer) letGoOn() {
	pid := p.pid.Load()
	if pid == 0 {
		pid = int64(p.find())
		p.pid.Store(pid)
	}
	LetGoOn(int(pid))
}

// LetGoOn has a process go on if it was stopped; 0 is none.
func LetGoOn(pid int) {
	if pid == 0 {
		return
	}
	state, stopped, err := ProcessState(pid)
	if err != nil || !stopped {
		return
	}
	if err := unix.Kill(pid, unix.SIGCONT); err == nil {
		Logf("mycompose", "process %d is needed and was in state %s: it was let go on", pid, state)
	}
}

// FindRole finds a process of ours among all by its name, its first argument ("" is
// any) and its state folder. 0 is none.
func FindRole(place folder.Place, role, argument string) int {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err == nil && IsRole(pid, role, argument) && ofPlace(pid, place) {
			return pid
		}
	}
	return 0
}

// IsRole reports whether a process has such a name and first argument ("" is any),
// proc_pid_cmdline(5).
func IsRole(pid int, role, argument string) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, rest, _ := strings.Cut(string(raw), "\x00")
	first, _, _ := strings.Cut(rest, "\x00")
	return err == nil && name == role && (argument == "" || first == argument)
}

// ofPlace reads proc_pid_environ(5).
func ofPlace(pid int, place folder.Place) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && slices.Contains(strings.Split(string(raw), "\x00"), folder.StateDirVariable+"="+place.State)
}

// ProcessState reads what a process does, "S (sleeping)", and whether a signal or a
// tracer has stopped it, proc_pid_status(5).
func ProcessState(pid int) (state string, stopped bool, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "", false, err
	}
	_, rest, _ := strings.Cut(string(raw), "\nState:")
	state, _, _ = strings.Cut(rest, "\n")
	state = strings.TrimSpace(state)
	return state, strings.HasPrefix(strings.ToUpper(state), "T"), nil
}
