package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const volumesFromKeys = `
services:
  store:
    <<: *base
    volumes: [/anon, "data:/data", "./host:/host:ro", "own:/mine"]
    tmpfs: [/scratch]
    command: ["sh", "-c", "echo anon > /anon/f; echo data > /data/f; echo store > /mine/f; exec sleep 1000"]
  reader:
    <<: *base
    volumes_from: ["store:ro"]
    volumes: ["other:/mine"]
  writer:
    <<: *base
    volumes_from: [store]
  foreign:
    <<: *base
    profiles: [foreign]
    volumes_from: ["container:volumes-from-store-1:rw"]
volumes: {data: , own: , other: }
`

// volumes_from gives the mounts of another container, its anonymous volumes too;
// who has them follows when that one is made anew, and the content stays.
func TestVolumesFromGivesTheMountsOfAnother(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.keys("volumes-from", volumesFromKeys, map[string]string{"host/f": "host\n"})
	h.eventually(func() error {
		return want(h.must(dir, "exec", "-T", "writer", "sh", "-c", "cat /anon/f /data/f /mine/f || true"), "store")
	})
	h.looks(dir, []look{
		{"volumes_from", "writer", "cat /anon/f /data/f /host/f /mine/f; ls -d /scratch 2>&1 | grep -c No", "anon data host store 1"},
		{"volumes_from rw", "writer", "echo more >> /anon/f; touch /host/g 2>&1 | grep -c Read-only", "1"},
		{"volumes_from ro", "reader", "cat /anon/f; ls /mine; touch /anon/g /data/g 2>&1 | grep -c Read-only", "anon more 2"},
	})
	h.must(dir, "--profile", "foreign", "up", "-d")
	h.looks(dir, []look{{"volumes_from container", "foreign", "cat /anon/f; touch /data/h && echo written", "anon more written"}})

	path := filepath.Join(dir, "compose.yaml")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(file), "tmpfs: [/scratch]", "environment: {A: b}", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	said := h.run(dir, "up", "-d").stderr
	for _, name := range []string{"store", "reader", "writer"} {
		if err := want(said, "Container volumes-from-"+name+"-1 Recreated"); err != nil {
			t.Error(err)
		}
	}
	h.must(dir, "exec", "-T", "store", "sh", "-c", "echo last >> /anon/f")
	h.looks(dir, []look{{"volumes_from after a recreate", "reader", "grep -c last /anon/f", "1"}})
	h.must(dir, "up", "-d")
	if r := h.run(dir, "up", "-d"); strings.Contains(r.stderr, "Recreate") {
		t.Errorf("a second up changes something:\n%s", r.stderr)
	}
	h.must(dir, "--profile", "foreign", "down", "-v")
	if left := h.must(dir, "volume", "ls", "-q"); left != "" {
		t.Errorf("volumes are left: %s", left)
	}
	r := h.run(dir, "--profile", "foreign", "up", "-d", "--no-deps", "foreign")
	if want := "volumes_from container:volumes-from-store-1: no container volumes-from-store-1"; r.code == 0 || !strings.Contains(r.stderr, want) {
		t.Errorf("exit code %d, want %q in:\n%s", r.code, want, r.stderr)
	}
}
