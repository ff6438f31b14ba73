package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTightHost is a host with busybox whose state folder has 96 MiB.
func newTightHost(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	if err := unix.Mount("tmpfs", h.state, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.must("", "system", "stop", "--all")
		h.eventually(func() error { return unix.Unmount(h.state, 0) })
	})
	h.busybox()
	return h
}

// wantFull is an error unless a command failed and told of the full disk and
// what to do about it.
func wantFull(h *host, r outcome) error {
	if r.code == 0 {
		return errors.New("it needs room, and succeeded")
	}
	return errors.Join(want(r.stderr, "no space left on device"), want(r.stderr, "mycompose image prune -a"))
}

// When the disk of the state folder is full, what runs goes on and obeys; stop and
// down, which give back, work as ever; and once there is room all does again.
func TestOnAFullDiskWhatRunsObeysAndCanGo(t *testing.T) {
	h := newTightHost(t)
	dir := h.project("tight", map[string]string{"compose.yaml": `
services:
  a: {image: busybox, init: true, command: sleep 100000, scale: 12, volumes: [data:/data]} # leases fill more than one page
  b: {image: busybox, restart: always, command: ["sh", "-c", "sleep 0.2; exit 4"], volumes: [/anonymous]}
  c: {image: busybox, init: true, command: ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"]}
volumes: {data: {}}
`})
	h.must(dir, "up", "-d")
	filler := filepath.Join(h.state, "filler")
	fillDisk(t, filler)
	if r := h.run(dir, "up", "-d", "--scale", "c=2"); r.code == 0 {
		t.Error("an up needs room, and succeeded")
	} else if err := wantFull(h, r); err != nil {
		t.Error(err)
	}
	before := h.ps(dir)
	h.killDaemon()
	if got := h.must(dir, "exec", "-T", "a", "hostname"); len(got) < 12 {
		t.Errorf("hostname is %q", got)
	}
	restarts := func() string { return h.must(dir, "ps", "-a", "--format", "{{.Status}}", "b") }
	status := restarts()
	h.eventually(func() error {
		if now := restarts(); now == status {
			return fmt.Errorf("b is %s still", now)
		}
		return nil
	})
	h.must(dir, "restart", "-t", "2", "a")
	for _, command := range []string{"pause", "unpause", "stop"} {
		h.must(dir, command, "c")
	}
	for name, row := range h.ps(dir) {
		if row.ID != before[name].ID || row.Service == "c" && row.ExitCode != 5 {
			t.Errorf("%s is %+v, before %+v", name, row, before[name])
		}
	}
	h.must(dir, "down", "-v", "-t", "2")
	if left := h.ps(dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "up", "-d")
	h.must(dir, "down", "-v", "-t", "2")
}

// Whatever finds the disk full says so, and what to do, leaves nothing, and
// succeeds once that has been done.
func TestWhatNeedsRoomOnAFullDiskSaysHowToGetSome(t *testing.T) {
	h := newTightHost(t)
	tar := busyboxTar(t)
	archive := filepath.Join(tempDir(t), "busybox.tar")
	h.must("", "image", "save", "-o", archive, "busybox")
	dir := h.project("roomy", map[string]string{
		"compose.yaml": "services: {a: {image: busybox, command: sleep 100000}, b: {build: .}}\n",
		"Dockerfile":   "FROM busybox\nCOPY large /\n",
		"large":        strings.Repeat("x", 4<<20),
	})
	h.must(dir, "create", "a")
	h.must(dir, "build")
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("y", 4<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	other := h.project("other", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: sleep 100000}}\n"})
	filler, rest := filepath.Join(h.state, "filler"), filepath.Join(h.state, "rest")
	fillDisk(t, filler)
	info, err := os.Stat(filler)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filler, info.Size()-1<<20); err != nil { // room for beginnings
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"image", "load", "-i", archive}, {"image", "import", tar, "other"}, {"build"},
	} {
		if err := wantFull(h, h.run(dir, command...)); err != nil {
			t.Errorf("%s: %v", strings.Join(command, " "), err)
		}
	}
	fillDisk(t, rest)
	for _, command := range [][]string{
		{"image", "load", "-i", archive}, {"image", "import", tar, "other"}, {"image", "tag", "busybox", "more"},
		{"volume", "create", "more"}, {"network", "create", "more"}, {"create"}, {"up", "-d"}, {"run", "--rm", "a", "true"},
	} {
		if err := wantFull(h, h.run(other, command...)); err != nil {
			t.Errorf("%s: %v", strings.Join(command, " "), err)
		}
	}
	for list, there := range map[string]string{"volume ls -q": "", "network ls --format {{.Name}}": "roomy_default\n", "ls -aq": "roomy\n"} {
		if got := h.must("", strings.Fields(list)...); got != there {
			t.Errorf("%s: %q, want %q", list, got, there)
		}
	}
	h.must("", "image", "prune", "-a", "-f") // writes itself
	h.must(other, "up", "-d")
	h.must(other, "down", "-t", "1")
	for _, path := range []string{filler, rest} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	h.must(dir, "build")
	h.must("", "image", "load", "-i", archive)
}

// A log on a full disk: what could be stored is there once and in order, the
// rest is counted, and the container, which never waits for the disk, goes on; so
// does its log, once there is room.
func TestALogOnAFullDiskCountsWhatItLoses(t *testing.T) {
	h := newTightHost(t)
	const lines = 300000
	dir := h.project("storm", map[string]string{"go/README": "", "compose.yaml": fmt.Sprintf(`
services:
  storm:
    image: busybox
    init: true
    volumes: ["./go:/go"]
    command: ["sh", "-c", "for n in 0 1 2; do
      while [ ! -e /go/$$n ]; do usleep 10000; done;
      seq $$((n * %[1]d + 1)) $$((n * %[1]d + %[1]d)); touch /go/done$$n; done; sleep 100000"]
`, lines)})
	letRun := func(n int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "go", strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.eventually(func() error {
			_, err := os.Stat(filepath.Join(dir, "go", "done"+strconv.Itoa(n)))
			return err
		})
	}
	h.must(dir, "up", "-d")
	letRun(0)
	filler := filepath.Join(h.state, "filler")
	fillDisk(t, filler)
	letRun(1)
	shown := h.must(dir, "logs", "--no-log-prefix", "--no-color", "storm")
	if !strings.HasPrefix(shown, "1\n2\n3\n") {
		t.Errorf("on the full disk the log begins with %.20q", shown)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	letRun(2)
	h.eventually(func() error { return logIsWhole(h, dir, 3*lines) })
	h.must(dir, "down", "-t", "1")
}

// logIsWhole is an error unless each line of total is in the log of storm once, in
// order, or counted as lost; some are, and the last one is there.
func logIsWhole(h *host, dir string, total int) error {
	last, stored, lost := 0, 0, 0
	for line := range strings.Lines(h.must(dir, "logs", "--no-log-prefix", "--no-color", "storm")) {
		line = strings.TrimSpace(line)
		if count, what, found := strings.Cut(line, " line"); found {
			n, err := strconv.Atoi(count)
			if err != nil || !strings.Contains(what, "lost: ") || !strings.Contains(what, "no space left on device") {
				return fmt.Errorf("a loss is told as %q", line)
			}
			lost += n
			continue
		}
		n, err := strconv.Atoi(line)
		if err != nil || n <= last {
			return fmt.Errorf("%q comes after %d", line, last)
		}
		last, stored = n, stored+1
	}
	if stored+lost != total || lost == 0 || last != total {
		return fmt.Errorf("%d lines are there, the last is %d, and %d are lost, of %d", stored, last, lost, total)
	}
	return nil
}

// fillDisk writes a file until nothing more fits.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) >= 512; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}
