package health

import (
	"fmt"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestRestartAnswersEveryPairOfPhaseAndInput(t *testing.T) {
	always := spec.Restart{Policy: spec.RestartAlways}
	for _, c := range []struct {
		from Phase
		in   InputKind
		to   Phase
		wait time.Duration
	}{
		{Idle, Start, Running, 0},
		{Idle, Stop, Idle, 0},
		{Idle, End, Idle, 0},
		{Idle, BackoffOver, Idle, 0},
		{Running, Start, Running, 0},
		{Running, Stop, Running, 0},
		{Running, End, Waiting, MinBackoff},
		{Running, BackoffOver, Running, 0},
		{Waiting, Start, Running, 0},
		{Waiting, Stop, Idle, 0},
		{Waiting, End, Waiting, 0},
		{Waiting, BackoffOver, Running, 0},
	} {
		t.Run(fmt.Sprintf("%s on %s becomes %s", c.from, c.in, c.to), func(t *testing.T) {
			got, wait := NextRestart(always, Restart{Phase: c.from}, Input{Kind: c.in, Code: 1})
			if got.Phase != c.to || wait != c.wait {
				t.Errorf("got %s after %v, want %s after %v", got.Phase, wait, c.to, c.wait)
			}
		})
	}
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy spec.Restart
		count  int
		code   int
		want   bool
	}{
		{"the empty policy lets it be", spec.Restart{}, 0, 1, false},
		{"no lets it be", spec.Restart{Policy: spec.RestartNo}, 0, 1, false},
		{"always with max_attempts restarts up to them", spec.Restart{Policy: spec.RestartAlways, MaxAttempts: 2}, 1, 0, true},
		{"always with max_attempts gives up after them", spec.Restart{Policy: spec.RestartAlways, MaxAttempts: 2}, 2, 0, false},
		{"always restarts after success", spec.Restart{Policy: spec.RestartAlways}, 99, 0, true},
		{"unless-stopped restarts after failure", spec.Restart{Policy: spec.RestartUnlessStopped}, 99, 1, true},
		{"on-failure lets success be", spec.Restart{Policy: spec.RestartOnFailure}, 0, 0, false},
		{"on-failure restarts without bound", spec.Restart{Policy: spec.RestartOnFailure}, 99, 1, true},
		{"on-failure:2 restarts twice", spec.Restart{Policy: spec.RestartOnFailure, MaxAttempts: 2}, 1, 1, true},
		{"on-failure:2 gives up after two", spec.Restart{Policy: spec.RestartOnFailure, MaxAttempts: 2}, 2, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Wants(c.policy, c.count, c.code); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestStoppedContainerIsNotStartedByItsPolicy(t *testing.T) {
	policy := spec.Restart{Policy: spec.RestartAlways}
	r, _ := NextRestart(policy, Restart{}, Input{Kind: Start})
	r, _ = NextRestart(policy, r, Input{Kind: Stop})
	r, wait := NextRestart(policy, r, Input{Kind: End, Code: 143})
	if r.Phase != Idle || wait != 0 || !r.Stopped {
		t.Fatalf("got %+v after %v", r, wait)
	}
	if r, _ = NextRestart(policy, r, Input{Kind: Start}); r.Stopped || r.Count != 0 {
		t.Fatalf("a command did not begin anew: %+v", r)
	}
}

func TestBackoffDoublesToAMinuteAndResetsAfterASteadyRun(t *testing.T) {
	policy := spec.Restart{Policy: spec.RestartAlways}
	r, _ := NextRestart(policy, Restart{}, Input{Kind: Start})
	want := MinBackoff
	for range 14 {
		var wait time.Duration
		if r, wait = NextRestart(policy, r, Input{Kind: End, Code: 1, Ran: SteadyRun - 1}); wait != want {
			t.Fatalf("wait %v, want %v", wait, want)
		}
		r, _ = NextRestart(policy, r, Input{Kind: BackoffOver})
		want = min(2*want, MaxBackoff)
	}
	if want != MaxBackoff {
		t.Fatalf("never reached %v", MaxBackoff)
	}
	if _, wait := NextRestart(policy, r, Input{Kind: End, Ran: SteadyRun}); wait != MinBackoff {
		t.Fatalf("wait after a steady run is %v", wait)
	}
	if r.Count != 14 {
		t.Fatalf("count is %d", r.Count)
	}
}

func TestDelayReplacesTheBackoff(t *testing.T) {
	policy := spec.Restart{Policy: spec.RestartAlways, Delay: 3 * time.Second}
	r := Restart{Phase: Running, Backoff: 3 * time.Second}
	if _, wait := NextRestart(policy, r, Input{Kind: End, Code: 1}); wait != policy.Delay {
		t.Fatalf("wait is %v", wait)
	}
}

func TestARunOfTheWindowCountsAsSuccess(t *testing.T) {
	policy := spec.Restart{Policy: spec.RestartOnFailure, MaxAttempts: 1, Window: time.Minute}
	r := Restart{Phase: Running, Tries: 1, Count: 1, Backoff: time.Second}
	if got, _ := NextRestart(policy, r, Input{Kind: End, Code: 1, Ran: time.Minute - 1}); got.Phase != Idle {
		t.Errorf("a short run was restarted: %+v", got)
	}
	got, wait := NextRestart(policy, r, Input{Kind: End, Code: 1, Ran: time.Minute})
	if got.Phase != Waiting || wait != MinBackoff || got.Count != 1 {
		t.Errorf("got %+v after %v", got, wait)
	}
}
