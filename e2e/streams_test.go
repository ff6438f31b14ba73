package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// withoutDaemon kills the daemon and keeps its keeper from starting another
// until f has returned.
func (h *host) withoutDaemon(f func()) {
	h.t.Helper()
	daemon := h.daemonPID()
	keeper := parentOf(h.t, daemon)
	if err := syscall.Kill(keeper, syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	defer syscall.Kill(keeper, syscall.SIGCONT)
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	f()
}

// parentOf reads proc_pid_status(5).
func parentOf(t testing.TB, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var parent int
		if n, _ := fmt.Sscanf(line, "PPid: %d", &parent); n == 1 {
			return parent
		}
	}
	t.Fatalf("process %d has no parent", pid)
	return 0
}

// steps is a script that writes 1 and 2 and says in the shared folder that it
// has; once the file go is there it writes 3 to 9 and ends with 7.
const steps = `
services:
  a:
    image: busybox
    command: sleep 100000
    init: true
    volumes: [./shared:/shared]
`

const stepsScript = `echo 1; echo 2; touch /shared/two; while [ ! -e /shared/go ]; do sleep 0.05; done; ` +
	`for i in 3 4 5 6 7 8 9; do echo $i; done; touch /shared/nine; exit 7`

// What a command wrote while there was no daemon reaches the terminal, each line
// once, and its exit code too; whether it has ended when the next one comes, or
// goes on.
func TestOutputWithoutADaemonReachesTheTerminal(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("alone", map[string]string{"compose.yaml": steps, "shared/.keep": ""})
	h.must(dir, "up", "-d")
	shared := func(name string) string { return filepath.Join(dir, "shared", name) }
	for _, c := range []struct {
		name, tail string
		args       []string
	}{
		{"exec", "", []string{"exec", "-T", "a"}},
		{"run", "", []string{"run", "-T", "a"}},
		{"run --rm", "", []string{"run", "-T", "--rm", "a"}},
		{"exec that goes on", "; true", []string{"exec", "-T", "a"}},
		{"run that goes on", "; true", []string{"run", "-T", "--rm", "a"}},
	} {
		for _, name := range []string{"two", "go", "nine", "on"} {
			_ = os.Remove(shared(name))
		}
		script := stepsScript
		if c.tail != "" {
			script = strings.Replace(script, "exit 7", "while [ ! -e /shared/on ]; do sleep 0.05; done; echo 10; exit 7", 1)
		}
		cmd := h.command(context.Background(), dir, append(c.args, "sh", "-c", script)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.eventually(func() error { _, err := os.Stat(shared("two")); return err })
		h.withoutDaemon(func() {
			if err := os.WriteFile(shared("go"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			h.eventually(func() error { _, err := os.Stat(shared("nine")); return err })
		})
		expected := "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
		if c.tail != "" {
			h.must(dir, "ps") // there is a daemon again
			if err := os.WriteFile(shared("on"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			expected += "10\n"
		}
		err := waitFor(t, cmd)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 || stdout.String() != expected {
			t.Errorf("%s: %v, stdout %q, stderr %q", c.name, err, stdout.String(), stderr.String())
		}
	}
	if rows := h.ps(dir); len(rows) != 1 {
		t.Errorf("left: %v", rows)
	}
}

// waitFor waits for a command; one that hangs fails the test.
func waitFor(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // received here, or the test has failed
	select {
	case err := <-done:
		return err
	case <-time.After(10 * deadline):
		_ = cmd.Process.Kill()
		t.Fatalf("%v hangs", cmd.Args)
		return <-done
	}
}

// A hundred megabytes go in and come back, through exec and through run, also to
// a reader that is slower than the container.
func TestLargeStreamsArriveWhole(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("large", map[string]string{"compose.yaml": steps, "shared/.keep": ""})
	h.must(dir, "up", "-d")
	const size = 100 << 20
	for _, args := range [][]string{{"exec", "-T", "a", "cat"}, {"run", "--rm", "-T", "a", "cat"}} {
		cmd := h.command(context.Background(), dir, args...)
		sent, got := sha256.New(), sha256.New()
		source := rand.New(rand.NewSource(1))
		cmd.Stdin = io.TeeReader(io.LimitReader(source, size), sent)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(got, out)
		if err != nil {
			t.Error(err)
		}
		if err := waitFor(t, cmd); err != nil {
			t.Errorf("%v: %v: %s", args, err, stderr.String())
		}
		if n != size || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
			t.Errorf("%v: %d bytes of %d came back, or others", args, n, size)
		}
	}
	// Nobody reads until the command has written more than anybody keeps.
	for _, args := range [][]string{{"exec", "-T", "a"}, {"run", "--rm", "-T", "a"}} {
		cmd := h.command(context.Background(), dir, append(args, "sh", "-c", "seq 1 1500000; touch /shared/done")...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(out, first); err != nil {
			t.Error(err)
		}
		h.must(dir, "ps") // time passes
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Error(err)
		}
		if err := waitFor(t, cmd); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		text := string(first) + string(rest)
		if strings.Count(text, "\n") != 1500000 || !strings.HasSuffix(text, "\n1500000\n") {
			t.Errorf("%v: %d bytes, %d lines", args, len(text), strings.Count(text, "\n"))
		}
	}
}

// Short commands side by side, while every processor has something else to do:
// none loses its output.
func TestShortCommandsShowTheirOutput(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("short", map[string]string{"compose.yaml": steps, "shared/.keep": ""})
	h.must(dir, "up", "-d")
	burning, cool := context.WithCancel(context.Background())
	defer cool()
	for range 2 {
		burn := exec.CommandContext(burning, "sh", "-c", "while :; do :; done")
		if err := burn.Start(); err != nil {
			t.Fatal(err)
		}
		defer burn.Wait()
	}
	defer cool()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 15 {
				word := fmt.Sprintf("hello %d %d", worker, i)
				args := []string{"exec", "-T", "a", "echo", word}
				if i%5 == 4 {
					args = []string{"run", "--rm", "-T", "a", "echo", word}
				}
				if r := h.run(dir, args...); r.code != 0 || r.stdout != word+"\n" {
					t.Errorf("%v: %+v", args, r)
				}
			}
		})
	}
	all.Wait()
}

// Commands at once that read the same changed file: each sends what it read, or
// that of another which was kept meanwhile.
func TestCommandsReadAChangedFileAtOnce(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("short", map[string]string{"compose.yaml": steps, "shared/.keep": ""})
	h.must(dir, "up", "-d")
	for round := range 6 {
		text := steps + strings.Repeat("#\n", round)
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if r := h.run(dir, "plan"); r.code != 0 {
					t.Errorf("round %d: plan: %+v", round, r)
				}
			})
		}
		all.Wait()
	}
}
