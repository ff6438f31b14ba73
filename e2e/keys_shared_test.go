package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const ownerKeys = `
services:
  owner:
    <<: *base
    environment: {VERSION: "${VERSION:-1}"}
  side:
    <<: *base
    network_mode: service:owner
`

const guestKeys = `
services:
  guest:
    <<: *base
    network_mode: container:shared-owner-1
    restart: unless-stopped
`

// TestWhoSharesANetworkFollowsItsOwner: whatever command starts or makes anew
// the owner of a network namespace, those that share it are in it afterwards,
// another project's container too.
func TestWhoSharesANetworkFollowsItsOwner(t *testing.T) {
	h := newHost(t)
	h.busybox()
	guests := h.project("guests", map[string]string{"compose.yaml": keyHead + guestKeys})
	r := h.run(guests, "up", "-d")
	if want := "network_mode container:shared-owner-1: no container shared-owner-1"; r.code == 0 || !strings.Contains(r.stderr, want) {
		t.Errorf("without an owner: exit code %d, want %q in %s", r.code, want, r.stderr)
	}
	if rows := h.ps(guests); len(rows) != 0 {
		t.Errorf("something was made: %v", rows)
	}
	one := h.keys("shared", ownerKeys, nil)
	h.must(guests, "up", "-d")
	const asks = "readlink /proc/self/ns/net; ls /sys/class/net; nslookup owner. >/dev/null && echo knows"
	together := func(after string) {
		t.Helper()
		want := h.must(one, "exec", "-T", "owner", "sh", "-c", asks)
		if !strings.Contains(want, "eth0") || !strings.Contains(want, "knows") {
			t.Errorf("after %s the owner has %s", after, want)
		}
		for service, dir := range map[string]string{"side": one, "guest": guests} {
			if got := h.must(dir, "exec", "-T", service, "sh", "-c", asks); got != want {
				t.Errorf("after %s: %s has %s, its owner %s", after, service, got, want)
			}
		}
	}
	together("up")
	for _, command := range []string{
		"restart owner", "restart side", "kill owner|start owner", "stop owner|up -d owner",
		"up -d --force-recreate --no-deps owner", "down|up -d",
	} {
		for step := range strings.SplitSeq(command, "|") {
			h.must(one, strings.Fields(step)...)
		}
		together(command)
	}
	h.env = append(h.env, "VERSION=2")
	h.must(one, "up", "-d", "owner")
	together("a change")
	// A daemon that ends before it has taken all along is followed by one that does.
	before := h.ps(guests)["guests-guest-1"].ID
	h.killDaemon()
	h.eventually(func() error {
		if got := h.ps(guests)["guests-guest-1"]; got.State != "running" || got.ID != before {
			return fmt.Errorf("guest is %v", got)
		}
		return nil
	})
	together("a new daemon")
	if got := h.must(guests, "run", "--rm", "-T", "guest", "ls", "/sys/class/net"); !strings.Contains(got, "eth0") {
		t.Errorf("a run has the links %q", got)
	}
	if got := h.must(guests, "up", "-d", "--dry-run"); strings.Contains(got, "ecreate") {
		t.Errorf("a further up would change something: %s", got)
	}
}
