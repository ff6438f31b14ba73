package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// ContainerProcesses lists the processes of a container by number; one that
// does not run has none.
func (e *Engine) ContainerProcesses(_ context.Context, id string) ([]spec.Process, error) {
	l, err := e.life(id)
	if err != nil {
		return nil, err
	}
	if !l.status().Up() {
		return nil, nil
	}
	pids, err := e.group(l).PIDs()
	if err != nil {
		return nil, fmt.Errorf("cannot list processes of %s: %w", l.name(), err)
	}
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	slices.Sort(pids)
	var out []spec.Process
	for _, pid := range slices.Compact(pids) {
		if p, err := readProcess("/proc", pid, boot); err == nil { // else it has ended meanwhile
			out = append(out, p)
		}
	}
	return out, nil
}

// ticks is what the kernel counts time in for user space, proc_pid_stat(5);
// USER_HZ is 100 on amd64 and arm64.
const ticks = time.Second / 100

func bootTime() (time.Time, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot read when the machine started: %w", err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			seconds, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return time.Unix(seconds, 0), err
		}
	}
	return time.Time{}, fmt.Errorf("cannot read when the machine started: /proc/stat has no btime")
}

// readProcess reads one process below proc.
func readProcess(proc string, pid int, boot time.Time) (spec.Process, error) {
	dir := proc + "/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return spec.Process{}, err
	}
	p, err := parseStat(string(stat), boot)
	if err != nil {
		return p, err
	}
	var owner unix.Stat_t
	if err := unix.Stat(dir, &owner); err != nil {
		return p, err
	}
	p.UID = int(owner.Uid)
	line, err := os.ReadFile(dir + "/cmdline")
	if text := strings.TrimRight(string(line), "\x00"); err == nil && text != "" {
		p.Command = strings.Split(text, "\x00")
	}
	return p, nil
}

// parseStat reads /proc/PID/stat, proc_pid_stat(5). The command in parentheses
// may hold anything.
func parseStat(text string, boot time.Time) (p spec.Process, err error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return p, fmt.Errorf("cannot read process: no command in %q", text)
	}
	p.Command = []string{"[" + text[open+1:end] + "]"}
	fields := strings.Fields(text[end+1:]) // begins with field 3, the state
	if len(fields) < 20 {
		return p, fmt.Errorf("cannot read process: %d fields", len(fields))
	}
	number := func(field int) int64 {
		n, wrong := strconv.ParseInt(fields[field-3], 10, 64)
		if wrong != nil {
			err = fmt.Errorf("cannot read process: field %d is %q", field, fields[field-3])
		}
		return n
	}
	pid, wrong := strconv.Atoi(strings.TrimSpace(text[:open]))
	if wrong != nil {
		return p, fmt.Errorf("cannot read process: %w", wrong)
	}
	p.PID, p.Parent = pid, int(number(4))
	p.Terminal = terminalName(uint64(number(7)))
	p.CPU = time.Duration(number(14)+number(15)) * ticks
	p.StartedAt = boot.Add(time.Duration(number(22)) * ticks)
	return p, err
}

// terminalName is how ps calls a device number; majors 136 to 143 are ptys,
// Documentation/admin-guide/devices.txt.
func terminalName(device uint64) string {
	major, minor := unix.Major(device), unix.Minor(device)
	switch {
	case device == 0:
		return ""
	case major >= 136 && major <= 143:
		return "pts/" + strconv.Itoa(int(major-136)*256+int(minor))
	case major == 4:
		return "tty" + strconv.Itoa(int(minor))
	}
	return fmt.Sprintf("%d,%d", major, minor)
}
