package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
)

// killMonitor kills the monitor of a container, which this process started.
func (r *rig) killMonitor(id string) {
	r.t.Helper()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if strings.HasPrefix(string(line), "mycompose-monitor\x00"+short(id)) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
	r.t.Fatal("no monitor of " + short(id))
}

func TestContainerOfALostMonitorIsEnded(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	plain := r.start(shell("plain", forever))
	b := on(shell("again", forever), spec.Attachment{Network: "n"})
	b.Restart = spec.Restart{Policy: spec.RestartAlways}
	again := r.start(b)
	r.killMonitor(plain)
	s := r.until(plain, "ended", func(s spec.Status) bool { return s.State == spec.StateExited })
	if s.ExitCode != 137 || s.Reason != "monitor lost" {
		t.Errorf("status %+v", s)
	}
	before := r.status(again)
	r.killMonitor(again)
	r.until(again, "running again", func(s spec.Status) bool {
		return s.State == spec.StateRunning && s.StartedAt.After(before.StartedAt) && s.Restarts == 1
	})
	if out, code := r.run(again, "nslookup again"); code != 0 {
		t.Errorf("names after the restart: %s", out)
	}
}

func TestNextEngineTakesUpWhatRuns(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	count := shell("counter", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")
	count.Health = &spec.Health{Test: []string{"CMD", "true"}}
	counter := r.start(on(count, spec.Attachment{Network: "n"}))
	other := r.start(on(shell("other", forever), spec.Attachment{Network: "n"}))
	ended := r.start(shell("ended", "sleep 0.3; exit 9"))
	waiting := shell("waiting", "exit 1")
	waiting.Restart = spec.Restart{Policy: spec.RestartAlways, Delay: 300 * time.Millisecond}
	restarted := r.start(waiting)
	r.until(restarted, "in back-off", func(s spec.Status) bool { return s.State == spec.StateRestarting })
	before := r.status(counter)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, patience, func() error {
		_, err := os.Stat(r.place.ExitRecord(ended))
		return err
	})
	r.open()
	if s := r.status(counter); s.State != spec.StateRunning || !s.StartedAt.Equal(before.StartedAt) {
		t.Errorf("the counter was restarted: %+v, before %+v", s, before)
	}
	r.until(ended, "ended", func(s spec.Status) bool { return s.State == spec.StateExited && s.ExitCode == 9 })
	n := r.status(restarted).Restarts
	r.until(restarted, "restarted", func(s spec.Status) bool { return s.Restarts > n })
	r.wait(counter, spec.UntilHealthy)
	if out, code := r.run(other, "nslookup counter"); code != 0 {
		t.Errorf("names after the crash: %s", out)
	}
	kerneltest.Eventually(t, patience, func() error {
		if got := len(r.lines(counter)); got < 20 {
			return fmt.Errorf("%d lines", got)
		}
		return nil
	})
	r.stop(counter)
	for i, line := range r.lines(counter) {
		if want := fmt.Sprintf("out %d", i+1); line != want {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
}

func TestEngineThatLostItsSocketsMakesThemAnew(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(b)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.keeper.Drop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.open()
	if out, code := r.run(id, "nslookup web"); code != 0 {
		t.Errorf("names: %s", out)
	}
	kept, err := r.keeper.List(t.Context())
	if err != nil || len(kept[id]) < 3 {
		t.Errorf("kept %v, %v", kept[id], err)
	}
	for _, f := range kept[id] {
		f.Close()
	}
}

func TestWhatAKillLeftIsCollected(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	e, ghost := r.engine, newID()
	// A kill in the middle of a create, of a start, and of a network.
	if err := e.makeFolder(ghost); err != nil {
		t.Fatal(err)
	}
	if _, err := e.cgroups.Create(e.groupRoot()+"/t/"+ghost, spec.Resources{}, nil); err != nil {
		t.Fatal(err)
	}
	link := network.LinkName(e.linkPrefix())
	if err := e.host.EnsureBridge(network.Bridge{Name: link, Addresses: []netip.Prefix{e.networks["n"].rec.Configs[0].Subnet}}); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := r.keeper.Keep(t.Context(), ghost, map[string]*os.File{"x": null}); err != nil {
		t.Fatal(err)
	}
	half := newLife(record{ID: ghost}, condition{})
	if err := e.startMonitor(half); err != nil {
		t.Fatal(err)
	}
	e.detach(half)
	r.reopen()
	e = r.engine
	if _, err := os.Stat(r.place.ContainerDir(ghost)); !os.IsNotExist(err) {
		t.Errorf("folder: %v", err)
	}
	if e.cgroups.Group(e.groupRoot() + "/t/" + ghost).Exists() {
		t.Error("a control group is left")
	}
	links, err := e.host.Links(e.linkPrefix())
	if err != nil || len(links) != 1 || links[0].Name != e.networks["n"].rec.Bridge {
		t.Errorf("links %v, %v", links, err)
	}
	if len(r.keeper.kept[ghost]) != 0 {
		t.Error("a socket is kept")
	}
	if _, err := os.Stat(r.place.MonitorSocket(ghost)); !os.IsNotExist(err) {
		t.Errorf("monitor's socket: %v", err)
	}
}

func TestStartWaitsForAMonitorThatLeaves(t *testing.T) {
	r := newRig(t)
	id := r.create(shell("c", forever))
	if err := os.MkdirAll(r.place.MonitorDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	// What it looks like once its socket is closed: nobody answers, and the
	// lock is held.
	lock, err := folder.TryLockFile(r.place.MonitorLock(id), folder.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- r.engine.StartContainer(t.Context(), id) }()
	select {
	case err := <-started:
		t.Errorf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := errors.Join(os.Remove(r.place.MonitorLock(id)), lock.Unlock()); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// An engine that is being closed while it asks a monitor kills nothing: its
// successor asks again.
func TestAnEngineThatIsClosedKillsNoContainer(t *testing.T) {
	r := newRig(t)
	id := r.start(shell("web", forever))
	l := mustLife(t, r, id)
	l.turn.Lock()
	c, _, _ := l.look()
	r.engine.cancel()
	err := r.engine.settle(l, c)
	l.turn.Unlock()
	if err == nil {
		t.Error("it has found out what became of it")
	}
	r.reopen()
	if s := r.status(id); s.State != spec.StateRunning || !s.StartedAt.Equal(c.Status.StartedAt) {
		t.Errorf("after a new engine: %+v", s)
	}
}
