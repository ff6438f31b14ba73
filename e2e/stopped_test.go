package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A command that waits for a daemon that somebody has stopped says so, and whom to
// let go on; then it goes on.
func TestAStoppedDaemonIsNamed(t *testing.T) {
	h := newHost(t)
	h.must("", "ls")
	daemon := h.daemonPID()
	h.freeze(daemon)
	resume := func() { _ = syscall.Kill(daemon, syscall.SIGCONT) } // gone if the test failed
	defer resume()
	ctx, cancel := context.WithTimeout(t.Context(), 3*deadline)
	defer cancel()
	cmd := h.command(ctx, "", "ls", "-q")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 0, 4096)
	for !bytes.Contains(said, []byte("`kill -CONT "+strconv.Itoa(daemon)+"`")) {
		n, err := stderr.Read(said[len(said):cap(said)])
		if err != nil {
			t.Errorf("it ended without a word: %q: %v", said, err)
			break
		}
		said = said[:len(said)+n]
	}
	resume()
	rest, err := io.ReadAll(stderr)
	if err != nil || len(rest) > 0 {
		t.Errorf("then it said %q: %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A monitor that somebody has stopped is let go on as soon as it is needed: by the
// next daemon, a command, and the end of its container.
func TestAStoppedMonitorHoldsNobodyUp(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("held", map[string]string{"compose.yaml": `
services:
  a: {image: busybox, init: true, command: ["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done"]}
`})
	h.must(dir, "up", "-d")
	h.eventually(func() error { return want(h.must(dir, "logs", "a"), "ready") })
	monitors := h.roles("mycompose-monitor")
	if len(monitors) != 1 {
		t.Fatalf("monitors %v", monitors)
	}
	halt := func() {
		t.Helper()
		h.freeze(monitors[0])
		t.Cleanup(func() { _ = syscall.Kill(monitors[0], syscall.SIGCONT) }) // it has gone on, or the test failed
	}
	halt()
	h.killDaemon()
	if got := h.must(dir, "exec", "-T", "a", "echo", "there"); got != "there\n" {
		t.Errorf("exec wrote %q", got)
	}
	halt()
	h.must(dir, "stop")
	if row := h.ps(dir)["held-a-1"]; row.State != "exited" || row.ExitCode != 3 {
		t.Errorf("it is %+v", row)
	}
}

// freeze stops a process and waits until none of its threads runs: what it was
// asked for just before it may still be answered by one.
func (h *host) freeze(pid int) {
	h.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	h.eventually(func() error {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("process %d has gone: %v", pid, err)
		}
		for _, name := range files {
			stat, err := os.ReadFile(name)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				return fmt.Errorf("it is not stopped: %s", stat)
			}
		}
		return nil
	})
}
