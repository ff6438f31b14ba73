package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// The plain service ends at SIGTERM by itself, the other because of its init.
const inPlaceYAML = `
services:
  plain:
    image: busybox
    command: ["sh", "-c", "trap 'rm /dev/shm/ready; exit 0' TERM; : > /dev/shm/ready; while :; do sleep 1000 & wait $$!; done"]
    stop_grace_period: 1m
    tmpfs: [/cache]
    volumes: [".:/src:ro"]
  page:
    image: busybox
    init: true
    command: ["httpd", "-f", "-p", "80", "-h", "/cache"]
    stop_grace_period: 1m
    tmpfs: [/cache]
    ports: ["127.0.0.1::80"]
`

// restart leaves all but the processes as it was, also when another daemon has
// come before it.
func TestARestartIsInPlace(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("place", map[string]string{"compose.yaml": inPlaceYAML})
	h.must(dir, "up", "-d")
	h.must(dir, "exec", "-T", "page", "sh", "-c", "echo kept > /cache/index.html; sleep 2000 >/dev/null 2>&1 &")
	url := "http://" + strings.TrimSpace(h.must(dir, "port", "page", "80"))
	const sees = "readlink /proc/1/ns/net /proc/1/ns/mnt /proc/1/ns/ipc; sort /proc/mounts; cat /proc/self/cgroup; ip addr; "
	picture := func() string {
		h.eventually(func() error {
			r := h.run(dir, "exec", "-T", "plain", "test", "-e", "/dev/shm/ready")
			if r.code != 0 {
				return fmt.Errorf("it is not ready: %s", r.stderr)
			}
			return nil
		})
		return h.must(dir, "exec", "-T", "plain", "sh", "-c", sees) +
			h.must(dir, "exec", "-T", "page", "sh", "-c", sees+"readlink /proc/1/ns/pid; cut -d' ' -f22 /proc/1/stat; cat /cache/index.html") +
			h.must(dir, "port", "page", "80")
	}
	before := picture()
	for _, kill := range []bool{false, true} {
		if kill {
			h.killDaemon()
		}
		h.must(dir, "restart")
		if after := picture(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		if got := h.get(url); got != "kept\n" {
			t.Errorf("it answers %q", got)
		}
		if got := h.must(dir, "exec", "-T", "page", "sh", "-c", "ps | grep -c 'sleep 200[0]'; true"); got != "0\n" {
			t.Errorf("of the last run there are %s processes", got)
		}
	}
}
