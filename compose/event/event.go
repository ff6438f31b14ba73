// Package event is the vocabulary of progress: what an operation tells while
// it runs, typed, in the order it happened. cmd/ui turns it into lines; the
// words of Text are docker compose's, since scripts look for them.
//
// The package prints nothing and keeps nothing.
package event

import "time"

// Kind says what an event is about.
type Kind string

const (
	// KindResource is a change of a network, volume, image, container.
	//
	// That of a layer has the layer's short digest as ID and its "Image NAME"
	// as ParentID. Text runs through "Pulling fs layer" (Total, no Current),
	// "Downloading" (Current of Total; it is unpacked while it comes) or
	// "Extracting" (its blob was here), and "Pull complete" or "Already
	// exists" (Status Done).
	KindResource Kind = "resource"
	// KindOutput is a line of a build step's output (stdout of `build`).
	KindOutput Kind = "output"
	// KindWarning is a line for people.
	KindWarning Kind = "warning"
	// KindPlan carries a printed plan (dry run).
	KindPlan Kind = "plan"
	// KindStep tells what a step took once it has ended, if the operation was
	// asked to tell (up --timings).
	KindStep Kind = "step"
	// KindResult ends the operation; it is the last event.
	KindResult Kind = "result"
)

// Status colours an event.
type Status string

const (
	Working Status = "Working"
	Done    Status = "Done"
	Warning Status = "Warning"
	Error   Status = "Error"
)

// Event is one progress event of an operation.
type Event struct {
	// Sequence counts from 1 within an operation, without gaps.
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"kind"`
	// ID is "Container shop-web-1", "Network shop_default", "Image redis"; of
	// a KindStep the step's: "start shop-web-1".
	ID     string `json:"id,omitempty"`
	Status Status `json:"status,omitempty"`
	// Text is one word: Creating Created Starting Started Recreate …
	Text string `json:"text,omitempty"`
	// Details follow the word: a cause, an error message.
	Details  string `json:"details,omitempty"`
	ParentID string `json:"parentId,omitempty"`
	Current  int64  `json:"current,omitempty"` // bytes
	Total    int64  `json:"total,omitempty"`   // bytes

	// Service is that of the container.
	Service string `json:"service,omitempty"`
	// Reason says why it is done, in a user's words: "image digest changed".
	Reason string `json:"reason,omitempty"`
	// Waiters are the services that cannot begin before this has ended.
	Waiters []string `json:"waiters,omitempty"`

	// Step is what a step took, for KindStep only.
	Step *Step `json:"step,omitempty"`
	// Result of the operation, for KindResult only.
	Result *Result `json:"result,omitempty"`
}

// Step is what a step of an operation took. Times count from the operation's
// beginning.
type Step struct {
	// Kind and Target say what it did on what: "start container" "shop-web-1".
	// Planning, checking and keeping the project are steps without a target.
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
	// After are the ids of the steps that had to end first.
	After []string      `json:"after,omitempty"`
	Began time.Duration `json:"began"`
	Ended time.Duration `json:"ended"`
}

// Result is how an operation ended.
type Result struct {
	// Error is empty on success; Code is a spec error code or "".
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
	// ExitCode is what the CLI exits with.
	ExitCode int `json:"exitCode"`
	// Canceled tells that somebody asked for the end, and who.
	Canceled string `json:"canceled,omitempty"`
	// Output is for stdout: an id of a detached run.
	Output string `json:"output,omitempty"`
	// Started lists ids of containers that the operation left running, for
	// an attached up or a run.
	Started []string `json:"started,omitempty"`
	// Culprits are ids of containers that made the operation fail: the end
	// of their logs says why.
	Culprits []string `json:"culprits,omitempty"`
}
