package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes are the pids whose command line names a folder.
func processes(dir string) []int {
	return find(func(pid int) bool { return strings.Contains(content(pid, "cmdline"), dir+"/") })
}

// find lists the pids of this machine that fit.
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

// ours are the processes of a state folder by role: "mycompose-monitor" and
// its pids.
func ours(state string) map[string][]int {
	roles := map[string][]int{}
	for _, pid := range find(func(pid int) bool {
		return strings.Contains("\x00"+content(pid, "environ"), "\x00MYCOMPOSE_STATE_DIR="+state+"\x00")
	}) {
		role, _, _ := strings.Cut(content(pid, "cmdline"), "\x00")
		role, _, _ = strings.Cut(filepath.Base(role), " ")
		if strings.HasPrefix(role, "mycompose") {
			roles[role] = append(roles[role], pid)
		}
	}
	return roles
}

// privateKiB is the memory that only this process has: the sum of the
// Private_* lines of smaps_rollup (proc_pid_smaps(5)).
func privateKiB(pid int) int {
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
