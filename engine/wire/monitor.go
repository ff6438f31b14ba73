package wire

import (
	"errors"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/recipe"
)

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
	// MonitorStart: MonitorStartRequest + files of the recipe →
	// MonitorStarted. A program that cannot be executed is an error with a
	// code of StartErrorCode.
	MonitorStart = "start"
	// MonitorExec: MonitorExecRequest + files of the recipe →
	// MonitorStarted; errors as start.
	MonitorExec = "exec"
	// MonitorAttach: MonitorAttachRequest → one stream socket.
	// The monitor writes Docker's framed streams (header: stream 1 or 2, 0,
	// 0, 0, length big endian), unframed if it has a terminal; what is
	// written to it is stdin, SHUT_WR ends stdin. For an exec, up to 64 KiB
	// that nobody has read yet come first. Before the container's start it
	// waits for it, so that no output is missed. A client of the container
	// that lags by more than 4 MiB is closed; one of an exec makes the exec
	// wait.
	MonitorAttach = "attach"
	// MonitorSignal: MonitorSignalRequest → nothing.
	MonitorSignal = "signal"
	// MonitorResize: MonitorResizeRequest → nothing.
	MonitorResize = "resize"
	// MonitorStatus: nothing → MonitorStatusAnswer; its files are the
	// network namespace of the current or last run and, while the container
	// runs, its pidfd; none before the first start.
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

// startErrorPrefix is followed by the exit code of a failed start.
const startErrorPrefix = "start-exit-"

// NewStartError is the error that start and exec answer with when the program
// could not be executed: code as a shell gives it, 127 not found, 126 any other.
func NewStartError(text string, code int) error {
	return &RemoteError{Code: startErrorPrefix + strconv.Itoa(code), Text: text}
}

// StartErrorCode returns the exit code of an error of start or exec that says
// that the program could not be executed.
func StartErrorCode(err error) (code int, ok bool) {
	var remote *RemoteError
	if !errors.As(err, &remote) {
		return 0, false
	}
	digits, ok := strings.CutPrefix(remote.Code, startErrorPrefix)
	if !ok {
		return 0, false
	}
	code, err = strconv.Atoi(digits)
	return code, err == nil
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
	// Init: an init that can outlive the program is process 1.
	Init bool `json:"init,omitempty"`
}

// MonitorExecRequest starts a further process.
type MonitorExecRequest struct {
	Recipe recipe.Recipe `json:"recipe"` // Kind exec; its ID names the exec
	Stdin  bool          `json:"stdin"`
	// CaptureLimit keeps at most so many bytes of output for the waiter
	// (probes) in place of a stream; 0 is for attach.
	CaptureLimit int `json:"captureLimit,omitempty"`
	// Detach throws its output away: nobody will attach.
	Detach bool `json:"detach,omitempty"`
}

// MonitorTarget names an exec by ID, or the container by "".
type MonitorTarget struct {
	Exec string `json:"exec,omitempty"`
}

// MonitorAttachRequest asks for a stream.
type MonitorAttachRequest struct {
	MonitorTarget
	Stdin bool `json:"stdin"`
	// From is how many bytes of the stream have arrived at its reader: what
	// comes behind them is sent again, as far back as it is kept. Nil begins
	// with what was sent to nobody. For the container itself it names the one
	// reader that it is begun for: it waits for that one as an exec does. Nil
	// is one of many, who may lose what they lag behind.
	From *int64 `json:"from,omitempty"`
}

// MonitorSignalRequest sends a signal, signal(7) number.
type MonitorSignalRequest struct {
	MonitorTarget
	Signal int `json:"signal"`
	// Stay: when the container's program ends its init does not, and holds the pid
	// namespace for the start that follows, of a recipe of KindAgain that joins
	// it. Any other start or quit ends the init. The last signal counts.
	Stay bool `json:"stay,omitempty"`
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
	Init    bool   `json:"init,omitempty"` // as of MonitorStarted
	// StartedAt of the current or last run, Unix nanoseconds.
	StartedAt int64        `json:"startedAt"`
	Exit      *MonitorExit `json:"exit,omitempty"` // of the last run
	Execs     []string     `json:"execs,omitempty"`
	// Written is how many bytes there are of the stream of the reader that
	// the container was begun for; 0 without one.
	Written int64 `json:"written,omitempty"`
}

// MonitorExit is an exit record: of the container, also on disk, or of an exec.
type MonitorExit struct {
	ID        string `json:"id"`
	StartedAt int64  `json:"startedAt"` // Unix nanoseconds; names the run
	ExitedAt  int64  `json:"exitedAt"`  // Unix nanoseconds
	// Ran is how long it ran, in nanoseconds, by a clock that nobody sets; 0 of
	// a monitor of an earlier build.
	Ran    int64  `json:"ran,omitempty"`
	Code   int    `json:"code"` // 128+signal if killed by one
	Signal int    `json:"signal,omitempty"`
	OOM    bool   `json:"oom,omitempty"`
	Reason string `json:"reason,omitempty"`
	Output []byte `json:"output,omitempty"` // captured, see CaptureLimit
	BootID string `json:"bootId,omitempty"`
}
