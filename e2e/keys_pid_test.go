package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const pidKeys = `
services:
  owner:
    <<: *base
    init: ${INIT:-true}
    environment: {VERSION: "${VERSION:-1}"}
  side:
    <<: *base
    pid: service:owner
    command: ["sleep", "2000"]
    restart: always
  both:
    <<: *base
    pid: service:owner
    network_mode: service:side
    restart: unless-stopped
`

const pidGuestKeys = `
services:
  guest:
    <<: *base
    pid: container:pids-owner-1
    restart: always
`

// TestWhoSharesAPIDNamespaceFollowsItsOwner: it sees the owner's processes, and
// does so after whatever command starts or makes anew the owner, also if it is
// another project's. What the owner's first process takes along comes back.
func TestWhoSharesAPIDNamespaceFollowsItsOwner(t *testing.T) {
	for _, init := range []string{"true", "false"} {
		t.Run("init "+init, func(t *testing.T) { sharedPID(t, init) })
	}
}

func sharedPID(t *testing.T, init string) {
	h := newHost(t)
	h.busybox()
	h.env = append(h.env, "INIT="+init)
	guests := h.project("pidguests", map[string]string{"compose.yaml": keyHead + pidGuestKeys})
	r := h.run(guests, "up", "-d")
	if want := "pid container:pids-owner-1: no container pids-owner-1"; r.code == 0 || !strings.Contains(r.stderr, want) {
		t.Errorf("without an owner: exit code %d, want %q in %s", r.code, want, r.stderr)
	}
	one := h.keys("pids", pidKeys, nil)
	h.must(guests, "up", "-d")
	together := func(after string) {
		t.Helper()
		const asks = "readlink /proc/self/ns/pid"
		want := h.must(one, "exec", "-T", "owner", "sh", "-c", asks)
		for service, dir := range map[string]string{"side": one, "both": one, "guest": guests} {
			h.eventually(func() error { // who ended with the owner is started by its policy
				got := h.run(dir, "exec", "-T", service, "sh", "-c", asks)
				if got.stdout != want {
					return fmt.Errorf("after %s: %s has %s%s, its owner %s", after, service, got.stdout, got.stderr, want)
				}
				return nil
			})
		}
		if got := h.must(one, "exec", "-T", "side", "ps"); !strings.Contains(got, "sleep 1000") || !strings.Contains(got, "sleep 2000") {
			t.Errorf("after %s side sees:\n%s", after, got)
		}
	}
	together("up")
	for _, command := range []string{
		"restart owner", "restart side", "kill owner|up -d", "stop owner|up -d owner",
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
	h.killDaemon()
	together("a new daemon")
	if got := h.must(one, "run", "--rm", "-T", "both", "ps"); !strings.Contains(got, "sleep 2000") {
		t.Errorf("a run sees:\n%s", got)
	}
	if got := h.must(one, "top", "side"); strings.Contains(got, "sleep 1000") || !strings.Contains(got, "sleep 2000") {
		t.Errorf("top shows processes that are not side's, or not its own:\n%s", got)
	}
	if got := h.must(one, "up", "-d", "--dry-run"); strings.Contains(got, "ecreate") {
		t.Errorf("a further up would change something: %s", got)
	}
}
