package wire

import "github.com/mycompose/mycompose/engine/recipe"

// The protocol between daemon and monitor. The monitor listens on
// <run>/monitor/<container id>.sock; the daemon dials, first and after every
// restart of its own. A new connection takes the place of the old one.
//
//	daemon                         monitor
//	  │ start(recipe, fds) ──────────▶│ forks the stage, answers once the
//	  │◀────────────── MonitorStarted │ program has been executed
//	  │◀───────── exited(MonitorExit) │ exit record is on disk before this
//	  │ start(…) again (restart) ────▶│
//	  │ exec, attach, signal, … ─────▶│
//	  │ quit ────────────────────────▶│ ends if the container has ended
const (
	// MonitorStart: MonitorStartRequest + files of the recipe → MonitorStarted.
	MonitorStart = "start"
	// MonitorExec: MonitorExecRequest + files of the recipe → MonitorStarted.
	MonitorExec = "exec"
	// MonitorAttach: MonitorAttachRequest → one stream socket.
	// The monitor writes Docker's framed streams (header: stream 1 or 2, 0,
	// 0, 0, length big endian), unframed if it has a terminal; what is
	// written to it is stdin, SHUT_WR ends stdin. For an exec, up to 64 KiB
	// that nobody has read yet come first.
	MonitorAttach = "attach"
	// MonitorSignal: MonitorSignalRequest → nothing.
	MonitorSignal = "signal"
	// MonitorResize: MonitorResizeRequest → nothing.
	MonitorResize = "resize"
	// MonitorStatus: nothing → MonitorStatusAnswer; its files are the
	// network namespace and, while the container runs, its pidfd.
	MonitorStatus = "status"
	// MonitorWaitExec: MonitorTarget → MonitorExit of the exec; waits. The
	// result is kept for a minute.
	MonitorWaitExec = "wait-exec"
	// MonitorQuit: nothing → nothing; refused while the container runs.
	MonitorQuit = "quit"

	// MonitorExited is the notification of the container's end.
	MonitorExited = "exited"
)

// MonitorStartRequest starts the container of this monitor.
type MonitorStartRequest struct {
	Recipe recipe.Recipe `json:"recipe"`
	Log    MonitorLog    `json:"log"`
	Stdin  bool          `json:"stdin"` // keep stdin open for attach
	// ExitRecord is the path of the exit record, written atomically.
	ExitRecord string `json:"exitRecord"`
	// OOM names files whose counters say at exit whether memory ran out:
	// memory.events (v2) or memory.oom_control (v1), indexes into the files.
	OOM recipe.File `json:"oom"`
}

// MonitorLog is where and how much to log.
type MonitorLog struct {
	Dir      string `json:"dir"` // empty: keep nothing
	MaxSize  int64  `json:"maxSize"`
	MaxFiles int    `json:"maxFiles"`
}

// MonitorStarted answers start and exec.
type MonitorStarted struct {
	PID       int   `json:"pid"`
	StartedAt int64 `json:"startedAt"` // Unix nanoseconds
}

// MonitorExecRequest starts a further process.
type MonitorExecRequest struct {
	Recipe recipe.Recipe `json:"recipe"` // Kind exec; its ID names the exec
	Stdin  bool          `json:"stdin"`
	// CaptureLimit keeps at most so many bytes of output for the waiter
	// (probes) in place of a stream; 0 is for attach.
	CaptureLimit int `json:"captureLimit,omitempty"`
}

// MonitorTarget names an exec by ID, or the container by "".
type MonitorTarget struct {
	Exec string `json:"exec,omitempty"`
}

// MonitorAttachRequest asks for a stream.
type MonitorAttachRequest struct {
	MonitorTarget
	Stdin bool `json:"stdin"`
}

// MonitorSignalRequest sends a signal, signal(7) number.
type MonitorSignalRequest struct {
	MonitorTarget
	Signal int `json:"signal"`
}

// MonitorResizeRequest sets the size of the pty.
type MonitorResizeRequest struct {
	MonitorTarget
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// MonitorStatusAnswer is what a new daemon asks first.
type MonitorStatusAnswer struct {
	ID      string `json:"id"`
	Running bool   `json:"running"`
	PID     int    `json:"pid"`
	// StartedAt of the current or last run, Unix nanoseconds.
	StartedAt int64        `json:"startedAt"`
	Exit      *MonitorExit `json:"exit,omitempty"` // of the last run
	Execs     []string     `json:"execs,omitempty"`
}

// MonitorExit is an exit record: of the container, also on disk, or of an exec.
type MonitorExit struct {
	ID        string `json:"id"`
	StartedAt int64  `json:"startedAt"` // Unix nanoseconds; names the run
	ExitedAt  int64  `json:"exitedAt"`  // Unix nanoseconds
	Code      int    `json:"code"`      // 128+signal if killed by one
	Signal    int    `json:"signal,omitempty"`
	OOM       bool   `json:"oom,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Output    []byte `json:"output,omitempty"` // captured, see CaptureLimit
	BootID    string `json:"bootId,omitempty"`
}
