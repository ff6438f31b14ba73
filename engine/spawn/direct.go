package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/stage"
	"github.com/mycompose/mycompose/engine/wire"
)

// firstFree is above what becomes 0, 1 and 2 of a child.
const firstFree = 3

// startDirect starts a recipe without the stage's program.
func startDirect(r *recipe.Recipe, files []*os.File, stdio Stdio) (*Process, error) {
	if err := fault.Errno("direct:fork"); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", r.ID, err)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	streams, err := openStdio(stdio)
	defer closeAll(streams[:])
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", r.ID, err)
	}
	var started stage.Started
	wire.OnLastThread(func() { started, err = stage.Start(r, fds, streams) })
	runtime.KeepAlive(files)
	fault.Point("direct:forked")
	var terminal *os.File
	if started.Terminal >= 0 {
		terminal = os.NewFile(uintptr(started.Terminal), "terminal")
	}
	if err != nil {
		if terminal != nil {
			terminal.Close()
		}
		for _, p := range []stage.Process{started.Process, started.Init} {
			if p.PID > 0 {
				giveUp(p.PID, p.PIDFD)
			}
		}
		return nil, directError(err)
	}
	fault.Point("direct:executed")
	p := newProcess(started.Process)
	p.Terminal = terminal
	if started.Init.PID > 0 {
		p.Init = newProcess(started.Init)
	}
	return p, nil
}

func newProcess(p stage.Process) *Process {
	return &Process{PID: p.PID, PIDFD: os.NewFile(uintptr(p.PIDFD), "pidfd")}
}

// directError is the error that a caller sees, as of the stage.
func directError(err error) error {
	f := stage.FailureOf(err)
	return &Error{Step: f.Step, Text: f.Text, Code: f.Code}
}

// openStdio gives copies of what becomes 0, 1 and 2, all above them, that block:
// programs expect that, and os.Pipe gives the other kind.
func openStdio(stdio Stdio) (fds [3]int, err error) {
	fds = [3]int{-1, -1, -1}
	for i, f := range []*os.File{stdio.In, stdio.Out, stdio.Err} {
		if f == nil {
			fds[i], err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err == nil && fds[i] < firstFree {
				err = errors.New("a standard descriptor of our own is closed")
			}
		} else {
			fds[i], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, firstFree)
			if err == nil {
				err = unix.SetNonblock(fds[i], false)
			}
		}
		if err != nil {
			return fds, err
		}
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
