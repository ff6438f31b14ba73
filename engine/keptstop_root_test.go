package engine

import (
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// keptStop starts a container on a network with a published port, and stops it
// for a start that follows.
func keptStop(t *testing.T) (r *rig, id, network string) {
	t.Helper()
	r = newRig(t)
	r.network(spec.Network{Name: "front"})
	b := on(shell("web-1", ready), spec.Attachment{Network: "front"})
	b.Ports = []spec.Port{{HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"}}
	b.StopGrace = &patient
	id = r.start(b)
	r.eventuallyRun(id, isReady)
	network, _ = r.run(id, "readlink /proc/1/ns/net; touch /dev/shm/old")
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.State != spec.StateExited || !s.StoppedByUser {
		t.Errorf("after a stop: %+v", s)
	}
	return r, id, network
}

func isHeld(r *rig, id string) bool {
	c, _, _ := mustLife(r.t, r, id).look()
	return c.Held
}

func TestAStopForARestartKeepsNetworkPortsAndMonitor(t *testing.T) {
	r, id, before := keptStop(t)
	l := mustLife(t, r, id)
	monitor, was := l.held.monitor, r.status(id)
	if monitor == nil || len(was.Ports) == 0 || len(was.Endpoints) == 0 {
		t.Fatalf("not kept: %+v", was)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	now := r.status(id)
	if l.held.monitor != monitor {
		t.Error("it has another monitor")
	}
	if now.Ports[0] != was.Ports[0] || now.Endpoints[0] != was.Endpoints[0] {
		t.Errorf("was %+v, is %+v", was, now)
	}
	if network, code := r.run(id, "readlink /proc/1/ns/net; test -e /dev/shm/old"); network != before || code != 0 {
		t.Errorf("network namespace was %s, is %s; what was in /dev/shm: %d", before, network, code)
	}
	// A stop that keeps nothing ends with all of it gone.
	r.stop(id)
	if isHeld(r, id) || l.held.monitor != nil || l.held.netns != nil || len(l.held.sockets) > 0 {
		t.Errorf("a stop has left %+v", l.held)
	}
}

func TestWhatAStopHasKeptGoesWithTheNextStopOrTheContainer(t *testing.T) {
	r, id, _ := keptStop(t)
	r.stop(id)
	if isHeld(r, id) {
		t.Error("the second stop has left what the first kept")
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheNextEngineLetsGoOfWhatAStopHasKept(t *testing.T) {
	r, id, _ := keptStop(t)
	r.reopen()
	if isHeld(r, id) || r.status(id).State != spec.StateExited {
		t.Errorf("after a new engine: %+v", r.status(id))
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// In back-off there is nobody to signal: a container's own stop signal ends its
// waiting, as docker's kill does.
func TestTheStopSignalEndsABackoff(t *testing.T) {
	r := newRig(t)
	b := shell("web", "exit 3")
	b.Restart = spec.Restart{Policy: spec.RestartAlways, Delay: time.Hour}
	id := r.start(b)
	r.until(id, "in back-off", func(s spec.Status) bool { return s.State == spec.StateRestarting })
	if err := r.engine.KillContainer(t.Context(), id, "HUP"); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.State != spec.StateRestarting {
		t.Errorf("after another signal: %+v", s)
	}
	if err := r.engine.KillContainer(t.Context(), id, "TERM"); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.State != spec.StateExited || !s.StoppedByUser || isHeld(r, id) {
		t.Errorf("after its stop signal: %+v", s)
	}
}
