package health

import (
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

const (
	MinBackoff = 100 * time.Millisecond
	MaxBackoff = time.Minute
	// SteadyRun is how long a run must last for the back-off to start anew.
	SteadyRun = 10 * time.Second
)

// Phase is where a container is for its restart policy.
type Phase string

const (
	// Idle: not running, and the policy will not start it.
	Idle Phase = "idle"
	// Running: its process runs.
	Running Phase = "running"
	// Waiting: it ended; the policy will start it when the back-off is over.
	Waiting Phase = "waiting"
)

// Restart is the state of the restart machine.
//
//	        Start                 Stop, or End that the policy lets be
//	Idle ──────────▶ Running ──────────────────────────────────▶ Idle
//	                  ▲   │ End that the policy answers              ▲
//	                  │   ▼                                          │
//	             BackoffOver ◀── Waiting ──────────Stop──────────────┘
type Restart struct {
	Phase Phase `json:"phase"`
	// Count of starts by the policy since the last command.
	Count int `json:"count,omitempty"`
	// Tries are the starts by the policy that MaxAttempts bounds: those
	// since the last command, or since a run that lasted the policy's Window.
	Tries int `json:"tries,omitempty"`
	// Backoff is the last wait.
	Backoff time.Duration `json:"backoff,omitempty"`
	// Stopped by a user's command since the last start.
	Stopped bool `json:"stopped,omitempty"`
}

// InputKind is what happened.
type InputKind string

const (
	// Start: a command started it.
	Start InputKind = "start"
	// Stop: a command asks it to end; while it runs its End comes later.
	Stop InputKind = "stop"
	// End: its process ended, or a start by the policy failed.
	End InputKind = "end"
	// BackoffOver: the wait that Next returned has passed.
	BackoffOver InputKind = "backoff-over"
)

// Input is one input; Code and Ran belong to End.
type Input struct {
	Kind InputKind
	Code int
	Ran  time.Duration
}

// NextRestart takes in what happened. In phase Waiting wait is the time until
// BackoffOver is due; otherwise it is 0.
func NextRestart(policy spec.Restart, r Restart, in Input) (next Restart, wait time.Duration) {
	switch in.Kind {
	case Start:
		return Restart{Phase: Running}, 0
	case Stop:
		r.Stopped = true
		if r.Phase == Waiting {
			r.Phase = Idle
		}
		return r, 0
	case BackoffOver:
		if r.Phase == Waiting {
			r.Phase = Running
			r.Count++
			r.Tries++
		}
		return r, 0
	case End:
		return ended(policy, r, in)
	}
	return r, 0
}

func ended(policy spec.Restart, r Restart, in Input) (Restart, time.Duration) {
	if r.Phase != Running {
		return r, 0
	}
	if policy.Window > 0 && in.Ran >= policy.Window {
		r.Tries = 0
	}
	if r.Stopped || !Wants(policy, r.Tries, in.Code) {
		r.Phase = Idle
		return r, 0
	}
	r.Backoff = nextBackoff(policy, r.Backoff, in.Ran)
	r.Phase = Waiting
	return r, r.Backoff
}

// Wants reports whether the policy answers an end with that code by another
// start, after so many tries of its own.
func Wants(policy spec.Restart, tries, code int) bool {
	if policy.MaxAttempts > 0 && tries >= policy.MaxAttempts {
		return false
	}
	switch policy.Policy {
	case spec.RestartAlways, spec.RestartUnlessStopped:
		return true
	case spec.RestartOnFailure:
		return code != 0
	}
	return false
}

// nextBackoff is the wait after a run that lasted ran, when the wait before
// it was last (0: none).
func nextBackoff(policy spec.Restart, last, ran time.Duration) time.Duration {
	steady := SteadyRun
	if policy.Window > 0 {
		steady = policy.Window
	}
	switch {
	case policy.Delay > 0:
		return policy.Delay
	case last <= 0 || ran >= steady:
		return MinBackoff
	}
	return min(2*last, MaxBackoff)
}
