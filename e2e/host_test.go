package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// deadline only guards against hanging.
const deadline = 60 * time.Second

// host is a mycompose with a state folder of its own, as a user on a fresh
// machine has it. Nothing of it is left when the test ends, which is checked.
type host struct {
	t      testing.TB
	binary string
	state  string
	tag    string
	env    []string
	// bootID names the file with the boot id of this boot, if it is not the
	// machine's own; boots counts them. See powerOff.
	bootID string
	boots  int
	slow   int             // how many times longer things may take; 0 is once
	ended  []chan struct{} // keepers that boot started
}

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// newHost builds nothing: make build has left bin/mycompose.
func newHost(t testing.TB) *host {
	t.Helper()
	kerneltest.NeedRoot(t)
	binary, err := filepath.Abs("../bin/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	state := tempDir(t)
	h := &host{t: t, binary: binary, state: state, tag: tagOf(t, state)}
	kerneltest.NoLeaks(t, h.tag)
	h.env = append(kerneltest.WithoutOurs(os.Environ()), "MYCOMPOSE_STATE_DIR="+state, "HOME="+tempDir(t))
	t.Cleanup(h.end)
	return h
}

// tempDir is t.TempDir with a removal that also takes what a container wrote.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mc-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("cannot remove %s: %v", dir, err)
		}
	})
	return dir
}

func tagOf(t testing.TB, state string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(state)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(real))
	return hex.EncodeToString(sum[:])[:8]
}

// end takes every project down and stops the resident processes.
func (h *host) end() {
	if h.t.Failed() {
		h.describe()
	}
	listed := h.run("", "ls", "-a", "-q")
	for _, project := range strings.Fields(listed.stdout) {
		if r := h.run("", "-p", project, "down", "-v", "--remove-orphans", "-t", "2"); r.code != 0 {
			h.t.Errorf("down of %s: %s", project, r.stderr)
		}
	}
	if r := h.run("", "system", "stop", "--all"); r.code != 0 {
		h.t.Errorf("system stop: %s", r.stderr)
	}
	for _, keeper := range h.ended {
		select {
		case <-keeper:
		case <-time.After(deadline):
			h.t.Error("a keeper does not end")
		}
	}
	// What a stopped engine keeps in /run is the note that it was stopped.
	if err := os.RemoveAll("/run/mycompose/" + h.tag); err != nil {
		h.t.Error(err)
	}
}

// describe logs what helps to understand a failure.
func (h *host) describe() {
	for _, path := range []string{"daemon.log", "keeper.log"} {
		raw, err := os.ReadFile(filepath.Join(h.state, path))
		if err != nil {
			continue
		}
		if len(raw) > 8000 {
			raw = raw[len(raw)-8000:]
		}
		h.t.Logf("%s:\n%s", path, raw)
	}
}

// run runs mycompose in a folder and returns how it ended.
func (h *host) run(dir string, args ...string) outcome {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*deadline)
	defer cancel()
	cmd := h.command(ctx, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("mycompose %s: %v", strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		h.t.Fatalf("mycompose %s hangs: %s%s", strings.Join(args, " "), stdout.String(), stderr.String())
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func (h *host) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.binary, args...)
	cmd.Dir = dir
	if dir == "" {
		cmd.Dir = h.state
	}
	cmd.Env = h.env
	h.ofThisBoot(cmd)
	return cmd
}

// must is run for commands that have to succeed; it returns stdout.
func (h *host) must(dir string, args ...string) string {
	h.t.Helper()
	r := h.run(dir, args...)
	if r.code != 0 {
		h.t.Fatalf("mycompose %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// project writes files into a fresh folder called name and returns it.
func (h *host) project(name string, files map[string]string) string {
	h.t.Helper()
	dir := filepath.Join(tempDir(h.t), name)
	for path, content := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// busybox takes in the base image of most tests: busybox-static and its links.
func (h *host) busybox() {
	h.t.Helper()
	h.must("", "image", "import", busyboxTar(h.t), "busybox")
}

// row is one line of ps --format json.
type row struct {
	ID, Name, Service, State, Health, Status string
	ExitCode                                 int
}

func (h *host) ps(dir string, args ...string) map[string]row {
	h.t.Helper()
	out := h.must(dir, append([]string{"ps", "-a", "--format", "json"}, args...)...)
	rows := map[string]row{}
	for line := range strings.Lines(out) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			h.t.Fatalf("cannot read %q: %v", line, err)
		}
		rows[r.Name] = r
	}
	return rows
}

// daemonPID finds the daemon of this host, 0 if there is none.
func (h *host) daemonPID() int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		raw, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
		if len(args) < 2 || filepath.Base(args[0]) != "mycompose" || args[1] != "daemon" {
			continue
		}
		if strings.Contains(strings.Join(args, " "), h.state) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	return 0
}

// killDaemon kills it with SIGKILL and reports whether there was one.
func (h *host) killDaemon() bool {
	pid := h.daemonPID()
	if pid == 0 {
		return false
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}

// eventually waits for a condition of the host.
func (h *host) eventually(check func() error) {
	h.t.Helper()
	kerneltest.Eventually(h.t, deadline*time.Duration(max(h.slow, 1)), check)
}

// want is an error unless got contains the text.
func want(got, text string) error {
	if !strings.Contains(got, text) {
		return fmt.Errorf("%q is not in:\n%s", text, got)
	}
	return nil
}

// replaceOnce replaces a text that must be there.
func replaceOnce(t testing.TB, s, from, to string) string {
	t.Helper()
	if !strings.Contains(s, from) {
		t.Fatalf("%q is not in %q", from, s)
	}
	return strings.Replace(s, from, to, 1)
}
