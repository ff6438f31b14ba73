package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// cycles is how often each of two projects goes up and down;
// MYCOMPOSE_CYCLES=100 is the long form, 200 in all.
func cycles(t *testing.T) int {
	text := os.Getenv("MYCOMPOSE_CYCLES")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Five services on three networks.
const cycled = `
x-base: &base
  image: busybox
  init: true
  command: ["sleep", "1000"]
services:
  a: {<<: *base, networks: [one], ports: ["127.0.0.1::80"]}
  b: {<<: *base, networks: [one, two], ports: ["127.0.0.1::53/udp"]}
  c: {<<: *base, networks: {two: {aliases: [steady]}}}
  d: {<<: *base, networks: [two, three]}
  e: {<<: *base, networks: [three], hostname: steady}
networks: {one: {}, two: {}, three: {internal: true}}
`

// One looks a name up without end while its neighbour is restarted without end. It
// asks again every 2.5 seconds, as nslookup does by itself, but for longer than 5:
// an answer that waits for a new daemon takes its time on a slow machine.
const neighbours = `
services:
  steady:
    image: busybox
    init: true
    command: ["sleep", "100000"]
  noisy:
    image: busybox
    init: true
    command: ["sleep", "100000"]
  client:
    image: busybox
    init: true
    command: ["sh", "-c", "n=0; while :; do if nslookup -timeout=60 -retry=24 steady. >/tmp/answer 2>&1; then n=$$((n+1)); echo $$n >/tmp/ok; else echo FAILED; cat /tmp/answer; fi; done"]
`

// Projects come and go, two at a time, a neighbour restarts in a loop and the
// daemon is killed: no lookup fails, and nothing of the projects is left.
func TestProjectsThatComeAndGoLeaveNoNetworks(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("neighbours", map[string]string{"compose.yaml": neighbours})
	h.must(dir, "up", "-d")
	links := h.links()

	rounds := cycles(t)
	stop := make(chan struct{})
	var restarting, cycling sync.WaitGroup
	restarting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if r := h.run(dir, "restart", "-t", "0", "noisy"); r.code != 0 {
				t.Errorf("restart: %s", r.stderr)
				return
			}
		}
	})
	for i := range 2 {
		name := fmt.Sprintf("cycle%d", i)
		folder := h.project(name, map[string]string{"compose.yaml": cycled})
		cycling.Go(func() {
			for n := range rounds {
				if r := h.run(folder, "up", "-d"); r.code != 0 {
					t.Errorf("%s, up %d: %s", name, n, r.stderr)
				}
				if r := h.run(folder, "down", "-v", "-t", "0"); r.code != 0 {
					t.Errorf("%s, down %d: %s", name, n, r.stderr)
				}
			}
		})
	}
	cycling.Wait()
	h.killDaemon()
	before := h.answered(dir)
	h.eventually(func() error {
		if now := h.answered(dir); now <= before {
			return fmt.Errorf("%d lookups were answered, and %d before the daemon was killed", now, before)
		}
		return nil
	})
	close(stop)
	restarting.Wait()

	if failed := h.lines(dir, "client"); failed != "" {
		t.Errorf("lookups failed: %s", failed)
	}
	h.eventually(func() error {
		if now := h.links(); now != links {
			return fmt.Errorf("there are %d links of ours, and were %d", now, links)
		}
		return nil
	})
	for _, network := range strings.Fields(h.must(dir, "network", "ls", "--format", "{{.Name}}")) {
		if strings.Contains(network, "cycle") {
			t.Errorf("network %s is left", network)
		}
	}
}

// answered is how many lookups the client has had answered.
func (h *host) answered(dir string) int {
	h.t.Helper()
	n := 0
	h.eventually(func() (err error) {
		r := h.run(dir, "exec", "-T", "client", "cat", "/tmp/ok")
		if r.code != 0 {
			return errors.New(r.stderr)
		}
		n, err = strconv.Atoi(strings.TrimSpace(r.stdout))
		return err
	})
	return n
}

// links counts the links of this host's networks.
func (h *host) links() int {
	h.t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	for _, link := range all {
		if strings.HasPrefix(link.Name, "mc"+h.tag) {
			n++
		}
	}
	return n
}
