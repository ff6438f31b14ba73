// Package spawn starts what a recipe describes. It forks the stage (the small
// program under another name), hands it the recipe and the descriptors, and
// returns once the program inside has been executed or has failed to be. It is
// used by the monitor and by the builder; everything that a caller sees of a
// start is here, so that a raw vforked child can replace the stage later.
package spawn

import (
	"os"

	"github.com/mycompose/mycompose/engine/recipe"
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
	return start(s.Small, r, files, stdio)
}
