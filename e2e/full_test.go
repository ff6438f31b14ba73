package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// When the disk of the state folder is full, what runs goes on and obeys; stop and
// down, which give back, work as ever; and once there is room all does again.
func TestOnAFullDiskWhatRunsObeysAndCanGo(t *testing.T) {
	h := newHost(t)
	if err := unix.Mount("tmpfs", h.state, "tmpfs", 0, "size=96m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.must("", "system", "stop", "--all")
		h.eventually(func() error { return unix.Unmount(h.state, 0) })
	})
	h.busybox()
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
	} else if err := want(r.stderr, "no space left on device"); err != nil {
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
	h.must(dir, "stop", "c")
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
