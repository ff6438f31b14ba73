package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// A volume that a project names as external is made by a command, outlives the
// project and goes when nobody uses it.
func TestVolumesAreMadeAndPruned(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("shares", map[string]string{"compose.yaml": keyHead + `
services:
  a: {<<: *base, volumes: ["shared:/shared", /anon]}
volumes: {shared: {external: true}}
`})
	r := h.run(dir, "up", "-d")
	for _, text := range []string{`external volume "shared" not found`, "mycompose volume create NAME"} {
		if err := want(r.stderr, text); err != nil || r.code != 1 {
			t.Errorf("exit code %d, %v", r.code, err)
		}
	}
	for range 2 { // an equal one is success
		if got := h.must("", "volume", "create", "--label", "team=core", "shared"); got != "shared\n" {
			t.Errorf("volume create says %q", got)
		}
	}
	if r := h.run("", "volume", "create", "shared"); r.code == 0 || !strings.Contains(r.stderr, "volume shared exists with other settings") {
		t.Errorf("another of that name: exit code %d, %s", r.code, r.stderr)
	}
	var shown []struct {
		CreatedAt, Driver, Mountpoint, Name, Scope string
		Labels                                     map[string]string
	}
	if err := json.Unmarshal([]byte(h.must("", "volume", "inspect", "shared")), &shown); err != nil {
		t.Fatal(err)
	}
	if v := shown[0]; v.Name != "shared" || v.Driver != "local" || v.Scope != "local" || v.Labels["team"] != "core" || v.Mountpoint == "" || v.CreatedAt == "" {
		t.Errorf("volume inspect shows %+v", shown)
	}
	h.must(dir, "up", "-d")
	h.must(dir, "exec", "-T", "a", "touch", "/shared/kept")
	if got := h.must("", "volume", "prune", "-a", "-f"); got != "" {
		t.Errorf("prune took volumes in use: %s", got)
	}
	h.must(dir, "rm", "-sf")
	if got := h.must("", "volume", "prune", "-f"); len(strings.Fields(got)) != 3 {
		t.Errorf("prune of what is anonymous says %q", got)
	}
	h.must(dir, "up", "-d")
	h.must(dir, "exec", "-T", "a", "test", "-e", "/shared/kept")
	h.must(dir, "down", "-v")
	if got := h.must("", "volume", "prune", "--all", "--force"); got != "Deleted Volumes:\nshared\n\n" {
		t.Errorf("prune of all says %q", got)
	}
}
