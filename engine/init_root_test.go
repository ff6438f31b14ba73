package engine

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// behindInit is a container whose init can outlive its program, which ends with 7
// at SIGUSR1.
func behindInit(r *rig) (id string) {
	b := shell("web", "trap 'exit 7' USR1; "+ready)
	b.Init, b.StopGrace, b.Terminal = true, &patient, false
	id = r.start(b)
	r.eventuallyRun(id, isReady)
	return id
}

// processOne is the pid namespace and the start of process 1; the numbers of
// namespaces come back, times do not.
const processOne = "readlink /proc/1/ns/pid; cut -d' ' -f22 /proc/1/stat"

func TestAnInitOutlivesItsProgram(t *testing.T) {
	r := newRig(t)
	id := behindInit(r)
	// Processes of its own, of its program's child, and of an exec that waits.
	r.run(id, "sleep 2000 >/dev/null 2>&1 & setsid sh -c 'sleep 2001 & sleep 2002' >/dev/null 2>&1 &")
	if _, err := r.engine.ExecDetached(t.Context(), spec.Exec{Container: id, Args: []string{"sleep", "2003"}}); err != nil {
		t.Fatal(err)
	}
	before, _ := r.run(id, processOne)
	for range 3 {
		was := r.status(id)
		now := r.restart(id)
		if !now.InPlace || !now.StartedAt.After(was.StartedAt) || now.Previous == nil || now.Previous.ExitCode != 0 {
			t.Fatalf("after a restart: %+v", now)
		}
		r.eventuallyRun(id, isReady)
		if after, _ := r.run(id, processOne); after != before {
			t.Errorf("process 1 was %s, is %s", before, after)
		}
		if out, code := r.run(id, "! ps | grep 'sleep 200[0-9]' && ! ps -o stat | grep Z && tr '\\0' ' ' < /proc/2/cmdline | grep '^/bin/sh -c trap'"); code != 0 {
			t.Errorf("%d: %s", code, out)
		}
	}
	// Its first process still hands signals on, to the new program.
	if _, err := r.engine.ExecDetached(t.Context(), spec.Exec{Container: id, Args: []string{"sh", "-c", "kill -USR1 1"}}); err != nil {
		t.Fatal(err)
	}
	if s := r.wait(id, spec.UntilExited); s.ExitCode != 7 || isHeld(r, id) || r.engine.group(mustLife(t, r, id)).Exists() {
		t.Errorf("after its end: %+v", s)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.eventuallyRun(id, isReady)
	if after, _ := r.run(id, processOne); after == before || r.status(id).InPlace {
		t.Errorf("a new start has the process 1 of the last run: %s", after)
	}
	r.stop(id)
}

func TestAnInitThatIsLostIsMadeAnew(t *testing.T) {
	r := newRig(t)
	id := behindInit(r)
	for name, lose := range map[string]func(){
		"killed": func() {
			pids, err := r.engine.processes(id)
			if err != nil || len(pids) != 1 {
				t.Fatalf("processes %v, %v", pids, err)
			}
			if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// What it held is gone, and nobody says so.
			r.until(id, "without processes", func(spec.Status) bool {
				pids, err := r.engine.processes(id)
				return err == nil && len(pids) == 0
			})
		},
		"its monitor is killed":  func() { r.killMonitor(id) },
		"another engine follows": func() { r.reopen() },
		"stopped":                func() { r.stop(id) },
	} {
		r.run(id, "touch /dev/shm/old")
		if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s := r.status(id); s.State != spec.StateExited || !s.StoppedByUser || s.ExitCode != 0 {
			t.Errorf("%s: after a stop: %+v", name, s)
		}
		lose()
		if err := r.engine.StartContainer(t.Context(), id); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s := r.status(id); s.InPlace || s.State != spec.StateRunning {
			t.Errorf("%s: after a start: %+v", name, s)
		}
		r.eventuallyRun(id, isReady+" && test ! -e /dev/shm/old")
	}
}

func TestAnInitIsWithTheProgramToTheEnd(t *testing.T) {
	r := newRig(t)
	// Nothing obeys: after the grace period all is killed, the init too.
	b := shell("stubborn", "trap '' TERM; : > /dev/shm/ready; while :; do sleep 1; done")
	none := time.Duration(0)
	b.Init, b.StopGrace = true, &none
	id := r.start(b)
	r.eventuallyRun(id, isReady)
	if now := r.restart(id); now.InPlace || now.Previous == nil || now.Previous.ExitCode != 137 {
		t.Errorf("after a restart: %+v", now)
	}
	// A program that is not there leaves no init behind.
	missing := shell("missing", "")
	missing.Init, missing.Entrypoint = true, []string{"/nonesuch"}
	bad := r.create(missing)
	if err := r.engine.StartContainer(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	if r.engine.group(mustLife(t, r, bad)).Exists() {
		t.Error("its group is left")
	}
}
