package e2e

import (
	"bytes"
	"context"
	"io"
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
