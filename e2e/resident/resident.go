// Package resident looks at the processes that mycompose, or a peer, leaves
// running, by way of /proc: who they are, their memory and their descriptors.
package resident

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is one of a state folder's processes.
type Process struct {
	PID int
	// Role is its name without what follows a space: "mycompose-monitor".
	Role string
	// Spare: it is a monitor that has no container yet.
	Spare bool

	parent int
}

// Of lists the resident processes of a state folder, and no command line.
func Of(state string) []Process {
	var out []Process
	for _, pid := range find(func(pid int) bool {
		return strings.Contains("\x00"+content(pid, "environ"), "\x00MYCOMPOSE_STATE_DIR="+state+"\x00")
	}) {
		args := strings.Split(content(pid, "cmdline"), "\x00")
		role, _, _ := strings.Cut(filepath.Base(args[0]), " ")
		if role == "mycompose" && len(args) > 1 && args[1] == "daemon" {
			role = "mycompose-daemon"
		}
		if strings.HasPrefix(role, "mycompose-") {
			spare := len(args) > 1 && strings.HasPrefix(args[1], "------")
			out = append(out, Process{PID: pid, Role: role, Spare: spare, parent: parent(pid)})
		}
	}
	return withoutForks(out)
}

// withoutForks leaves out what has been forked and has not yet executed its
// program: it still has the name of its parent.
func withoutForks(all []Process) []Process {
	roles := map[int]string{}
	for _, p := range all {
		roles[p.PID] = p.Role
	}
	return slices.DeleteFunc(all, func(p Process) bool { return roles[p.parent] == p.Role })
}

// parent is the fourth field of /proc/PID/stat; the second one, in brackets,
// may hold anything.
func parent(pid int) (ppid int) {
	stat := content(pid, "stat")
	var state string
	_, _ = fmt.Sscan(stat[strings.LastIndexByte(stat, ')')+1:], &state, &ppid)
	return ppid
}

// Naming lists the pids whose command line names something below a folder.
func Naming(folder string) []int {
	return find(func(pid int) bool { return strings.Contains(content(pid, "cmdline"), folder+"/") })
}

// WithArguments lists the pids whose command line is exactly this.
func WithArguments(args ...string) []int {
	return find(func(pid int) bool { return content(pid, "cmdline") == strings.Join(args, "\x00")+"\x00" })
}

func find(fits func(pid int) bool) []int {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err == nil && pid != os.Getpid() && fits(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// content is a file of a process below /proc; "" once it is gone.
func content(pid int, name string) string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(raw)
}

// PrivateKiB is the memory that only this process has: the sum of the
// Private_* lines of smaps_rollup (proc_pid_smaps(5)); 0 once it is gone.
func PrivateKiB(pid int) int {
	sum := 0
	for line := range strings.Lines(content(pid, "smaps_rollup")) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "Private_") {
			var n int
			if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// Descriptors is how many files a process has open; 0 once it is gone.
func Descriptors(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return len(entries)
}

// Threads is how many a process has; 0 once it is gone.
func Threads(pid int) int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	return len(entries)
}
