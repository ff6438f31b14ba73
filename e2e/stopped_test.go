package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// A command that waits for a daemon that somebody has stopped says so, and whom to
// let go on; then it goes on.
func TestAStoppedDaemonIsNamed(t *testing.T) {
	h := newHost(t)
	h.must("", "ls")
	daemon := h.daemonPID()
	if err := syscall.Kill(daemon, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
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
		if err := syscall.Kill(monitors[0], syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(monitors[0], syscall.SIGCONT) }) // it has gone on, or the test failed
		h.eventually(func() error {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", monitors[0]))
			if err == nil && !bytes.Contains(raw, []byte("State:\tT")) {
				err = fmt.Errorf("monitor %d is not stopped", monitors[0])
			}
			return err
		})
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
