package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const flagged = `
services:
  a: {image: busybox, command: sleep 1000, init: true, stop_grace_period: 0s, volumes: [data:/data]}
  b: {image: busybox, command: sleep 1000, init: true, stop_grace_period: 0s}
volumes:
  data: {}
`

// Flags that reach further than the command without them.
func TestFlagsThatReachFurther(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("flags", map[string]string{"compose.yaml": flagged})
	h.must(dir, "up", "-d")
	// cp --all: also what run has made.
	h.must(dir, "run", "-d", "--name", "job", "b", "sleep", "1000")
	h.must(dir, "cp", "compose.yaml", "b:/plain")
	h.must(dir, "cp", "--all", "compose.yaml", "b:/all")
	files := h.must(dir, "cp", "--all", "b:/all", "-") // from any of them
	if !strings.Contains(files, "services:") {
		t.Errorf("cp --all from a service: %q", files)
	}
	caps := h.must(dir, "run", "--rm", "--no-deps", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "b", "grep", "CapBnd", "/proc/1/status")
	if words(caps) != "CapBnd: 0000000000001000" {
		t.Errorf("run --cap-drop --cap-add: %q", caps)
	}
	// up -y makes a volume that differs anew.
	h.must(dir, "exec", "-T", "a", "touch", "/data/old")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(replaceOnce(t, flagged, "data: {}", "data: {labels: {a: b}}"))
	if r := h.run(dir, "up", "-d"); r.code != 0 || !strings.Contains(r.stderr, "doesn't match configuration in compose file") {
		t.Errorf("up: %+v", r)
	}
	h.must(dir, "exec", "-T", "a", "test", "-e", "/data/old")
	r := h.run(dir, "up", "-d", "-y", "--parallel", "1")
	for _, line := range []string{" Container flags-a-1 Recreated \n", " Volume flags_data Removed \n", " Volume flags_data Created \n", " Container flags-b-1 Running \n"} {
		if !strings.Contains(r.stderr, line) {
			t.Errorf("up -y: %d, no %q in\n%s", r.code, line, r.stderr)
		}
	}
	if r := h.run(dir, "exec", "-T", "a", "test", "-e", "/data/old"); r.code != 1 {
		t.Errorf("up -y has kept the volume: %+v", r)
	}
	// kill leaves what the file no longer has, unless asked.
	write(replaceOnce(t, flagged, "  b: {", "  c: {"))
	h.must(dir, "kill")
	if state := h.ps(dir)["flags-b-1"].State; state != "running" {
		t.Errorf("kill ended an orphan: %s", state)
	}
	h.must(dir, "kill", "--remove-orphans")
	if state := h.ps(dir)["flags-b-1"].State; state != "exited" {
		t.Errorf("kill --remove-orphans: it is %s", state)
	}
}
