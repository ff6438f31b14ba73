package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// wired is a blueprint on network a whose program tells first what it found there.
func wired(name string) spec.Blueprint {
	b := on(shell(name, "ip -o -4 addr show eth0; ip route; nslookup "+name+"; echo told; "+forever), spec.Attachment{Network: "a"})
	b.Init = true
	return b
}

// inGroup are the processes of a container.
func (r *rig) inGroup(id string) []int {
	r.t.Helper()
	l, err := r.engine.life(id)
	if err != nil {
		r.t.Fatal(err)
	}
	pids, err := r.engine.group(l).PIDs()
	if err != nil {
		r.t.Fatal(err)
	}
	return pids
}

// All but the program is made while the network is, and the program finds that whole.
func TestAProgramFindsItsNetworkWhole(t *testing.T) {
	if before := runtime.GOMAXPROCS(0); before < 2 {
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	r := newRig(t)
	r.network(spec.Network{Name: "a"})
	b := wired("web")
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.create(b)
	r.engine.rules.mu.Lock() // what publishes its port waits
	started := make(chan error, 1)
	go func() { started <- r.engine.StartContainer(t.Context(), id) }()
	kerneltest.Eventually(t, patience, func() error {
		if pids := r.inGroup(id); len(pids) == 0 {
			return fmt.Errorf("its init is not there")
		}
		return nil
	})
	time.Sleep(50 * time.Millisecond) // in which the program could be executed
	pids, lines := r.inGroup(id), r.lines(id)
	r.engine.rules.mu.Unlock()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if len(pids) != 1 || len(lines) > 0 {
		t.Errorf("before its port was published it was %v and had written %q", pids, lines)
	}
	kerneltest.Eventually(t, patience, func() error {
		if all := strings.Join(r.lines(id), "\n"); !strings.Contains(all, "told") {
			return fmt.Errorf("it has written %q", all)
		}
		return nil
	})
	all := strings.Join(r.lines(id), "\n")
	for _, want := range []string{"eth0    inet " + r.status(id).Endpoints[0].IPv4, "default via", "Name:\tweb"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in what it found: %s", want, all)
		}
	}
}

// A network that cannot be made is the error, and nothing is left of the rest.
func TestAStartWithoutItsNetworkIsCalledOff(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "a"})
	b := wired("web")
	b.Networks[0].InterfaceName = "lo" // which is there: refused by the kernel
	id := r.create(b)
	err := r.engine.StartContainer(t.Context(), id)
	if err == nil || !strings.Contains(err.Error(), "cannot attach web to its networks") {
		t.Errorf("error %v", err)
	}
	if s := r.status(id); s.Up() || strings.Contains(s.Reason, "called off") {
		t.Errorf("status %+v", s)
	}
	if pids := r.inGroup(id); len(pids) > 0 {
		t.Errorf("left: %v", pids)
	}
	if lines := r.lines(id); len(lines) > 0 {
		t.Errorf("it was executed: %q", lines)
	}
	r.start(wired("another"))
}
