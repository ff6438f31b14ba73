package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killAfter runs a command and kills the daemon once the command has shown k
// progress lines. It returns how the command ended and how many lines it saw.
func (h *host) killAfter(dir string, k int, args ...string) (outcome, int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*deadline)
	defer cancel()
	cmd := h.command(ctx, dir, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	var text strings.Builder
	seen := 0
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		seen++
		text.WriteString(lines.Text() + "\n")
		if seen == k {
			h.killDaemon()
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		h.t.Fatalf("mycompose %s hangs after a kill at line %d: %v\n%s", strings.Join(args, " "), k, err, text.String())
	}
	return outcome{"", text.String(), cmd.ProcessState.ExitCode()}, seen
}

// kill -9 of the daemon after each progress line of up and of down: the command
// ends with the result it would have had, nothing is left over, and the
// running numbers stand in the logs exactly once.
func TestKillingTheDaemonAfterEachStepConverges(t *testing.T) {
	h := newHost(t)
	h.busybox()
	steps, port := 1, freePort(t)
	for k := 1; k <= steps; k++ {
		dir := untunedProject(h, "crash", port)
		up, seen := h.killAfter(dir, k, "up", "-d")
		if up.code != 0 {
			t.Fatalf("up, killed at line %d: %d\n%s", k, up.code, up.stderr)
		}
		if k == 1 {
			steps = seen
		}
		t.Logf("killed up at line %d of %d", k, steps)
		h.checkRunning(dir, k, port)
		checkNumbers(t, h.numbers(dir))
		down, _ := h.killAfter(dir, k, "down", "-v")
		if down.code != 0 {
			t.Fatalf("down, killed at line %d: %d\n%s", k, down.code, down.stderr)
		}
		if left := h.ps(dir); len(left) != 0 {
			t.Fatalf("down, killed at line %d, left %v", k, left)
		}
	}
	t.Logf("killed after each of %d lines", steps)
}

// The run folder is emptied under everything that runs, or the keeper's socket
// removed: one keeper and one daemon are there again, the containers run on and
// lose no line, and names resolve.
func TestContainersOutliveAnEmptiedRunFolder(t *testing.T) {
	for name, remove := range map[string]func(folder string) error{
		"everything":          os.RemoveAll,
		"the keeper's socket": func(folder string) error { return os.Remove(filepath.Join(folder, "keeper.sock")) },
	} {
		t.Run(name, func(t *testing.T) { outliveRemoval(t, remove) })
	}
}

func outliveRemoval(t *testing.T, remove func(folder string) error) {
	h := newHost(t)
	h.busybox()
	dir := h.project("wiped", map[string]string{"compose.yaml": `
services:
  once: {image: busybox, init: true, command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.02; done"]}
  again: {image: busybox, init: true, restart: always, command: sleep 10000}
`})
	h.must(dir, "up", "-d")
	before := h.ps(dir)
	keeper, daemon := h.roles("mycompose-keeper"), h.daemonPID()
	// Nor does what stands in the place of a monitor's socket hide it.
	for _, socket := range h.glob(filepath.Join(h.runFolder(), "monitor", "*.sock"), len(before)) {
		if err := errors.Join(os.Remove(socket), os.Symlink("/dev/null", socket)); err != nil {
			t.Fatal(err)
		}
	}
	_ = remove(h.runFolder()) // it may be there again already
	h.eventually(func() error {
		if now := h.roles("mycompose-keeper"); len(now) != 1 || now[0] == keeper[0] {
			return fmt.Errorf("keepers %v, before %v", now, keeper)
		}
		if now := h.daemonPID(); now == 0 || now == daemon {
			return fmt.Errorf("daemon %d, before %d", now, daemon)
		}
		return nil
	})
	h.wantStates(dir, map[string]string{"once": "running", "again": "running"})
	for name, row := range h.ps(dir) {
		if row.ID != before[name].ID || strings.Contains(row.Status, "lost") {
			t.Errorf("%s is %+v, before %+v", name, row, before[name])
		}
	}
	h.must(dir, "exec", "-T", "again", "nslookup", "once")
	for i, line := range strings.Fields(h.must(dir, "logs", "--no-log-prefix", "once")) {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the log is %q", i+1, line)
		}
	}
}

// glob is filepath.Glob, which must find so many.
func (h *host) glob(pattern string, want int) []string {
	h.t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != want {
		h.t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found
}

// roles are the pids of this host's processes of a name.
func (h *host) roles(name string) []int {
	var pids []int
	for _, pid := range h.processes() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		word, rest, _ := strings.Cut(string(line), "\x00")
		if err == nil && word == name && !strings.HasPrefix(rest, "--------") { // a monitor that has no container yet
			pids = append(pids, pid)
		}
	}
	return pids
}

func (h *host) checkRunning(dir string, k, port int) {
	h.t.Helper()
	h.eventually(func() error {
		rows := h.ps(dir)
		for _, name := range []string{"crash-web-1", "crash-redis-1", "crash-worker-1", "crash-worker-2", "crash-worker-3"} {
			if rows[name].State != "running" {
				return fmt.Errorf("killed at line %d: %s is %q", k, name, rows[name].State)
			}
		}
		return nil
	})
	if got := h.get(fmt.Sprintf("http://127.0.0.1:%d/", port)); !strings.HasPrefix(got, "hello\n") {
		h.t.Errorf("killed at line %d: page is %q", k, got)
	}
}

var numbered = regexp.MustCompile(`^(worker-\d+) +\| number (\d+)$`)

// numbers are the logs of the workers once each of the three has begun to count.
func (h *host) numbers(dir string) (logs string) {
	h.t.Helper()
	h.eventually(func() error {
		logs = h.must(dir, "logs", "--no-color", "worker")
		for _, name := range []string{"worker-1 ", "worker-2 ", "worker-3 "} {
			if !strings.Contains(logs, name) {
				return fmt.Errorf("%s has not begun:\n%s", name, logs)
			}
		}
		return nil
	})
	return logs
}

// checkNumbers: each replica's numbers come in order, each exactly once.
func checkNumbers(t *testing.T, logs string) {
	t.Helper()
	last := map[string]int{}
	for line := range strings.Lines(logs) {
		m := numbered.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			t.Fatalf("strange log line %q", line)
		}
		n, _ := strconv.Atoi(m[2])
		if n != last[m[1]]+1 {
			t.Fatalf("%s: %d follows %d", m[1], n, last[m[1]])
		}
		last[m[1]] = n
	}
}

// With the daemon gone, containers run on, names resolve and policies act
// without anybody running a command.
func TestADeadDaemonComesBackByItself(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("back", map[string]string{"compose.yaml": `
services:
  flaky:
    image: busybox
    command: ["sh", "-c", "echo run; sleep 1; exit 3"]
    restart: always
  steady:
    image: busybox
    init: true
    command: ["sh", "-c", "while true; do nslookup flaky. >/dev/null && echo ok; sleep 0.2; done"]
`})
	h.must(dir, "up", "-d")
	before := h.ps(dir)["back-steady-1"]
	old := h.daemonPID()
	if !h.killDaemon() {
		t.Fatal("there is no daemon")
	}
	h.eventually(func() error {
		if pid := h.daemonPID(); pid == 0 || pid == old {
			return fmt.Errorf("no new daemon yet")
		}
		return nil
	})
	runs := func() int { return strings.Count(h.must(dir, "logs", "flaky"), "run") }
	first := runs()
	h.eventually(func() error {
		if n := runs(); n < first+2 {
			return fmt.Errorf("%d runs, then %d", first, n)
		}
		return nil
	})
	if after := h.ps(dir)["back-steady-1"]; after.ID != before.ID || after.State != "running" {
		t.Errorf("steady was %v, is %v", before, after)
	}
	since := time.Now()
	h.eventually(func() error {
		return want(h.must(dir, "logs", "--since", since.Format(time.RFC3339Nano), "steady"), "ok")
	})
}
