package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/logs/read"
	"github.com/mycompose/mycompose/engine/spec"
)

// readFrames reads Docker's framed streams to their end and returns stdout.
func readFrames(t *testing.T, r io.Reader) string {
	t.Helper()
	var out strings.Builder
	header := make([]byte, 8)
	for {
		if _, err := io.ReadFull(r, header); errors.Is(err, io.EOF) {
			return out.String()
		} else if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, binary.BigEndian.Uint32(header[4:]))
		if _, err := io.ReadFull(r, data); err != nil {
			t.Fatal(err)
		}
		if header[0] == 1 {
			out.Write(data)
		}
	}
}

// untilReady waits until a container has said so: only then are its traps set.
func (r *rig) untilReady(id string) {
	r.t.Helper()
	kerneltest.Eventually(r.t, patience, func() error {
		if slices.Contains(r.lines(id), "out ready") {
			return nil
		}
		return errors.New("it has not said ready")
	})
}

// lines reads a container's log.
func (r *rig) lines(id string) (out []string) {
	r.t.Helper()
	err := r.engine.Log(r.t.Context(), id, read.Options{}, func(l read.Line) error {
		prefix := "out "
		if l.Stream == logs.Stderr {
			prefix = "err "
		}
		out = append(out, prefix+string(l.Data))
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestContainerRunsLogsAndEnds(t *testing.T) {
	r := newRig(t)
	id := r.start(shell("one", "echo hello; echo oops >&2; exit 3"))
	s := r.wait(id, spec.UntilExited)
	if s.ExitCode != 3 || s.State != spec.StateExited || s.StartedAt.IsZero() || s.ExitedAt.Before(s.StartedAt) {
		t.Errorf("status %+v", s)
	}
	if got := strings.Join(r.lines(id), "|"); !strings.Contains(got, "out hello") || !strings.Contains(got, "err oops") {
		t.Errorf("log: %s", got)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.wait(id, spec.UntilExited)
	if got := len(r.lines(id)); got != 4 {
		t.Errorf("%d lines after a second run", got)
	}
}

func TestStopSendsTheSignalAndKillsAfterTheGrace(t *testing.T) {
	r := newRig(t)
	polite := r.start(shell("polite", "trap 'exit 7' USR1; echo ready; while :; do sleep 1000 & wait $!; done"))
	r.untilReady(polite)
	if err := r.engine.StopContainer(t.Context(), polite, spec.Stop{Signal: "USR1"}); err != nil {
		t.Fatal(err)
	}
	if s := r.status(polite); s.ExitCode != 7 || !s.StoppedByUser {
		t.Errorf("status %+v", s)
	}
	deaf := shell("deaf", "trap '' TERM; echo ready; while :; do sleep 1; done")
	grace := 50 * time.Millisecond
	deaf.StopGrace = &grace
	id := r.start(deaf)
	r.untilReady(id)
	r.stop(id)
	if s := r.status(id); s.ExitCode != 137 || s.State != spec.StateExited {
		t.Errorf("status %+v", s)
	}
}

func TestExecSharesTheContainersNamespaces(t *testing.T) {
	r := newRig(t)
	b := shell("host", forever)
	b.Hostname, b.Environment, b.User = "sheep", map[string]string{"A": "b"}, "app"
	id := r.start(b)
	out, code := r.run(id, "hostname; echo $A $HOME; id -u; id -g; id -G; echo $$ | grep -q . && exit 5")
	if want := "sheep\nb /data\n1000\n1000\n1000 44\n"; out != want || code != 5 {
		t.Errorf("got %q and %d, want %q", out, code, want)
	}
	_, err := r.engine.Exec(t.Context(), spec.Exec{Container: id, Args: []string{"/nothing"}})
	if !errors.Is(err, spec.ErrCommand) {
		t.Errorf("exec of a missing program: %v", err)
	}
	r.stop(id)
	if _, err := r.engine.Exec(t.Context(), spec.Exec{Container: id, Args: []string{"true"}}); !errors.Is(err, spec.ErrNotRunning) {
		t.Errorf("exec in a stopped container: %v", err)
	}
}

func TestMissingCommandIsNamedAndLeavesNothing(t *testing.T) {
	r := newRig(t)
	b := shell("wrong", "")
	b.Entrypoint = []string{"/no/such/program"}
	id := r.create(b)
	err := r.engine.StartContainer(t.Context(), id)
	if !errors.Is(err, spec.ErrCommand) || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
	if s := r.status(id); s.State != spec.StateCreated || s.ExitCode != 127 {
		t.Errorf("status %+v", s)
	}
	if r.engine.group(mustLife(t, r, id)).Exists() {
		t.Error("a control group is left")
	}
}

func mustLife(t *testing.T, r *rig, id string) *life {
	t.Helper()
	l, err := r.engine.life(id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRestartPolicyRunsItAgainWithTheSameNamespace(t *testing.T) {
	r := newRig(t)
	b := shell("again", "readlink /proc/self/ns/net; exit 1")
	b.Restart = spec.Restart{Policy: spec.RestartOnFailure, MaxAttempts: 2}
	id := r.start(b)
	s := r.until(id, "given up", func(s spec.Status) bool { return s.State == spec.StateExited })
	if s.Restarts != 2 || s.ExitCode != 1 {
		t.Errorf("status %+v", s)
	}
	lines := r.lines(id)
	if len(lines) != 3 || lines[0] != lines[1] || lines[1] != lines[2] {
		t.Errorf("namespaces of the runs: %v", lines)
	}
}

func TestStopEndsABackoff(t *testing.T) {
	r := newRig(t)
	b := shell("waiting", "exit 1")
	b.Restart = spec.Restart{Policy: spec.RestartAlways, Delay: time.Hour}
	id := r.start(b)
	r.until(id, "in back-off", func(s spec.Status) bool { return s.State == spec.StateRestarting })
	r.stop(id)
	if s := r.status(id); s.State != spec.StateExited || !s.StoppedByUser {
		t.Errorf("status %+v", s)
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t)
	good := shell("good", "sleep 0.1; touch /tmp/ready; "+forever)
	good.Health = &spec.Health{Test: []string{"CMD-SHELL", "echo looked; test -e /tmp/ready"}}
	id := r.start(good)
	if s := r.wait(id, spec.UntilHealthy); !strings.Contains(s.ProbeOutput, "looked") {
		t.Errorf("probe output %q", s.ProbeOutput)
	}
	bad := shell("bad", forever)
	bad.Health = &spec.Health{Test: []string{"CMD", "false"}, Interval: 20 * time.Millisecond, Retries: 2}
	id = r.start(bad)
	if _, err := r.engine.WaitContainer(t.Context(), id, spec.UntilHealthy); !errors.Is(err, spec.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	slow := shell("slow", forever)
	slow.Health = &spec.Health{Test: []string{"CMD", "sleep", "1000"}, Interval: time.Millisecond, Timeout: 20 * time.Millisecond, Retries: 1}
	id = r.start(slow)
	if s, err := r.engine.WaitContainer(t.Context(), id, spec.UntilHealthy); !errors.Is(err, spec.ErrUnhealthy) || !strings.Contains(s.ProbeOutput, "no answer") {
		t.Errorf("got %v, %+v", err, s)
	}
}

func TestOutOfMemoryIsSeen(t *testing.T) {
	r := newRig(t)
	b := shell("hungry", "head -c 200m /dev/zero | tail")
	b.Entrypoint = []string{"/bin/sh", "-c", "exec tail /dev/zero"}
	b.Resources.Memory = 24 << 20
	id := r.start(b)
	if s := r.wait(id, spec.UntilExited); !s.OOMKilled || s.ExitCode != 137 || s.Reason != "out of memory" {
		t.Errorf("status %+v", s)
	}
}
