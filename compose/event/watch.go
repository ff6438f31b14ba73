package event

import "time"

// WatchKind says what an event of watching is about.
type WatchKind string

// The kinds.
const (
	// WatchEnabled: it has begun; Text is docker compose's "Watch enabled".
	WatchEnabled WatchKind = "enabled"
	// WatchEnded: it has been stopped, or its project taken down.
	WatchEnded WatchKind = "ended"
	// WatchSynced: files were put into the service's containers.
	WatchSynced WatchKind = "synced"
	// WatchActs: a restart, rebuild or exec begins; WatchActed: it is done.
	WatchActs  WatchKind = "acts"
	WatchActed WatchKind = "acted"
	// WatchFailed: one of these failed; Text says why.
	WatchFailed WatchKind = "failed"
	// WatchNotice is a sentence for people.
	WatchNotice WatchKind = "notice"
	// WatchPlan is a line of the plan that a changed model comes to.
	WatchPlan WatchKind = "plan"
	// WatchOutput is a line that an exec wrote.
	WatchOutput WatchKind = "output"
	// WatchBuild is what the build of a rebuild told.
	WatchBuild WatchKind = "build"
)

// Watch is an event of watching a project.
type Watch struct {
	// Sequence grows by one from event to event of one daemon's life.
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
	Kind     WatchKind `json:"kind"`
	Service  string    `json:"service,omitempty"`
	// Action is sync, restart, rebuild or exec.
	Action string `json:"action,omitempty"`
	// Changes counts paths; Paths names the first of them.
	Changes int      `json:"changes,omitempty"`
	Paths   []string `json:"paths,omitempty"`
	// Took is from when the change was heard of to when it was done, in
	// nanoseconds.
	Took time.Duration `json:"took,omitempty"`
	Text string        `json:"text,omitempty"`
	// Build is a KindOutput event, for WatchBuild only.
	Build *Event `json:"build,omitempty"`
}
