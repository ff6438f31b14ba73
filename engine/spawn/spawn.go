// Package spawn starts what a recipe describes, and returns once the program
// inside has been executed or has failed to be. It is used by the monitor and
// by the builder.
//
// There are two ways, and a caller sees no difference. On amd64 a thread of ours
// and a vforked child do all (stage.Start): no program of ours is started in
// between. Elsewhere, and with the build tag stage, the stage does (the small
// program under another name): spawn executes it, hands it the recipe and the
// descriptors, and listens.
package spawn

import (
	"os"
	"runtime"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/stage"
	"github.com/mycompose/mycompose/engine/wire"
)

// Stdio are the descriptors that become 0, 1 and 2; the caller closes its
// copies. A nil one is /dev/null; all are nil when the recipe asks for a
// terminal. They are made blocking.
type Stdio struct{ In, Out, Err *os.File }

// Process is a started process, a child of the caller, which waits for it.
type Process struct {
	PID   int      // in the caller's pid namespace
	PIDFD *os.File // pidfd_open(2), close-on-exec
	// Terminal is the pty's master if the recipe asked for one.
	Terminal *os.File
	// Init is the reaping init that is process 1 beside it, a child of the caller
	// too. It ends when it is killed, and all in its pid namespace with it. Nil
	// without one; one that is the program's parent is the process itself.
	Init *Process
}

// EndOthers kills all processes in the pid namespace of an init but the init, and
// returns once they are gone. Another goroutine waits for those that are children
// of the caller.
func EndOthers(init *os.File) (err error) {
	wire.OnLastThread(func() { err = stage.EndOthers(int(init.Fd())) })
	runtime.KeepAlive(init)
	if err != nil {
		return directError(err)
	}
	return nil
}

// Error says why the program was not executed, with the exit code that a
// shell and docker give: 127 not found, 126 not executable or any other.
type Error struct {
	Step string // "mount", "setns", "exec", …
	Text string
	Code int
}

func (e *Error) Error() string { return e.Text }

// Spawner knows the small program.
type Spawner struct {
	// Small is the open small program; it is executed by descriptor.
	Small *os.File
}

// Start runs the recipe. files are the descriptors that the recipe's File
// fields index; Start does not close them.
func (s Spawner) Start(r *recipe.Recipe, files []*os.File, stdio Stdio) (*Process, error) {
	if err := check(s.Small, r, files, stdio); err != nil {
		return nil, err
	}
	if stage.Direct {
		return startDirect(r, files, stdio)
	}
	return startStage(s.Small, r, files, stdio)
}
