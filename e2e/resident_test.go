package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// A newer binary takes over from an idle daemon without touching containers.
func TestANewerBinaryTakesOverWithoutTouchingContainers(t *testing.T) {
	kerneltest.NeedRoot(t)
	newer := filepath.Join(tempDir(t), "mycompose") // outlives the host, which uses it to the end
	h := newHost(t)
	h.busybox()
	dir := h.project("take", map[string]string{"compose.yaml": `
services:
  worker:
    image: busybox
    init: true
    scale: 3
    command: ["sh", "-c", "i=0; while true; do i=$$((i+1)); echo number $$i; sleep 0.02; done"]
`})
	h.must(dir, "up", "-d")
	before, old := h.ps(dir), h.daemonPID()
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", old)); err != nil || string(comm) != "mycompose-daemo\n" {
		t.Errorf("the daemon shows as %q, %v", comm, err)
	}
	if err := kerneltest.Build(newer, "cmd/mycompose", "newer"); err != nil {
		t.Fatal(err)
	}
	h.binary = newer
	after := h.ps(dir)
	if pid := h.daemonPID(); pid == 0 || pid == old {
		t.Errorf("the daemon was %d and is %d: nobody took over", old, pid)
	}
	if out := h.must(dir, "info"); !strings.Contains(out, "newer") {
		t.Errorf("info does not name the newer build:\n%s", out)
	}
	for name, was := range before {
		if now := after[name]; now.ID != was.ID || now.State != "running" {
			t.Errorf("%s was %v and is %v", name, was, now)
		}
	}
	checkNumbers(t, h.numbers(dir))
}

// The start path executes no program of the host: the daemon runs with an
// empty PATH, and nothing of the host's /bin or /sbin is started.
func TestTheDaemonNeedsNoProgramOfTheHost(t *testing.T) {
	h := newHost(t)
	for i, entry := range h.env {
		if strings.HasPrefix(entry, "PATH=") {
			h.env[i] = "PATH="
		}
	}
	h.busybox()
	port := freePort(t)
	dir := h.project("bare", map[string]string{"compose.yaml": fmt.Sprintf(`
services:
  web:
    image: busybox
    init: true
    command: httpd -f -p 80 -h /etc
    ports: ["127.0.0.1:%d:80"]
    healthcheck: {test: wget -q -O /dev/null http://web/passwd}
`, port)})
	h.must(dir, "up", "-d", "--wait")
	if got := h.get(fmt.Sprintf("http://127.0.0.1:%d/group", port)); !strings.Contains(got, "nogroup") {
		t.Errorf("page is %q", got)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", h.daemonPID()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "PATH=/") {
		t.Errorf("the daemon has a PATH: %q", environ)
	}
}

// A wrong file changes nothing: one line per mistake, exit code 1, and not
// even a daemon is started.
func TestAWrongFileChangesNothing(t *testing.T) {
	h := newHost(t)
	dir := h.project("wrong", map[string]string{"compose.yaml": `services:
  web:
    imgae: busybox
    ports: ["99999:80"]
    gpus: all
  db:
    image: busybox
    networks: [nope]
`})
	for _, command := range []string{"up", "config", "build"} {
		r := h.run(dir, command)
		if r.code != 1 || r.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q", command, r.code, r.stdout)
		}
		for _, text := range []string{
			"compose.yaml:3:5: ", "did you mean `image`?", "compose.yaml:4:", "not supported yet: services.web.gpus", "compose.yaml:8:", "nope",
		} {
			if err := want(r.stderr, text); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	}
	if entries, err := os.ReadDir(filepath.Join(h.state, "containers")); err == nil && len(entries) > 0 {
		t.Errorf("containers were made: %v", entries)
	}
}

// syncs is how often the store has synced to disk since the daemon started.
func (h *host) syncs() (n int) {
	h.t.Helper()
	for line := range strings.Lines(h.must("", "info")) {
		if rest, ok := strings.CutPrefix(line, "Syncs to disk"); ok {
			if _, err := fmt.Sscan(strings.Trim(rest, ": \n"), &n); err != nil {
				h.t.Fatalf("cannot read %q: %v", line, err)
			}
			return n
		}
	}
	h.t.Fatal("info does not count syncs")
	return 0
}

// An up with images present syncs to disk at most three times, however many
// services it has.
func TestUpSyncsToDiskAtMostThreeTimes(t *testing.T) {
	h := newHost(t)
	h.busybox()
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range 10 {
		fmt.Fprintf(&file, "  s%d:\n    image: busybox\n    init: true\n    command: sleep 1000\n    volumes: [\"data:/data\"]\n", i)
	}
	file.WriteString("volumes:\n  data:\n")
	dir := h.project("synced", map[string]string{"compose.yaml": file.String()})
	before := h.syncs()
	h.must(dir, "up", "-d")
	if n := h.syncs() - before; n < 1 || n > 3 {
		t.Errorf("an up synced %d times, want one to three", n)
	}
}
