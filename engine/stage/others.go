package stage

import (
	"encoding/binary"
	"errors"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/vfork"
)

const (
	// othersTime is how long processes that were killed may take to be gone, in
	// seconds. One that waits for a disk takes longer.
	othersTime = 2
	// othersPause is between two looks, in nanoseconds.
	othersPause = 200_000
)

// EndOthers kills all processes in the pid namespace of an init, a pidfd, but the
// init, and returns once they are gone. The calling goroutine is as for Start.
//
// Only a child in the namespace can mean all of them: kill(-1), which leaves out the
// caller and process 1, reaches what is just being forked too, and says ESRCH when
// nobody is left. Zombies count until the init has reaped them.
func EndOthers(init int) error {
	if err := unix.Setns(init, unix.CLONE_NEWPID); err != nil {
		return failed("setns", "cannot enter the pid namespace: %v", err)
	}
	d := &direct{stage: stage{Recipe: &recipe.Recipe{Kind: recipe.KindExec}}}
	defer d.close()
	if err := d.newList(d.writeEndOthers); err != nil {
		return err
	}
	// Not suspended: children of ours may be among them, and are gone only when
	// we have waited for them.
	restore := blockSignals()
	pid := d.list.Run(&vfork.CloneArgs{Flags: unix.CLONE_VM | unix.CLONE_CLEAR_SIGHAND, ExitSignal: uint64(unix.SIGCHLD)})
	restore()
	if pid < 0 {
		return failed("fork", "cannot end what a container has left: %v", unix.Errno(-pid))
	}
	status, err := waitFor(int(pid))
	runtime.KeepAlive(d)
	switch c := d.list.Failed(); {
	case err != nil:
		return failed("kill", "cannot end what a container has left: %v", err)
	case status.Signaled() && status.Signal() == unix.SIGKILL: // so ends a pid namespace
		return failed("kill", "cannot end what a container has left: its init has ended")
	case status.Signaled():
		return failed("kill", "cannot end what a container has left: some of it is still there after %d s", othersTime)
	case c != nil:
		return d.failure(c)
	}
	return nil
}

func waitFor(pid int) (status unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

func (d *direct) writeEndOthers() {
	const text = "cannot end what a container has left"
	d.call("kill", text, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	d.callUnblock()
	// SIGALRM ends it where the list would go on for ever.
	d.call("kill", text, unix.SYS_SETITIMER, 0, d.times(0, 0, othersTime, 0), 0)
	kill := d.call("kill", text, unix.SYS_KILL, -1, int(unix.SIGKILL)).Accept(uintptr(unix.ESRCH))
	pause := d.list.Call(unix.SYS_NANOSLEEP, d.times(0, othersPause), 0).AcceptAll()
	pause.Next(kill)
	pause.OnAccept(kill)
	kill.OnAccept(d.list.Call(unix.SYS_EXIT_GROUP, 0))
}

// times are numbers of a timespec or itimerval.
func (d *direct) times(numbers ...uint64) vfork.Address {
	var raw []byte
	for _, n := range numbers {
		raw = binary.NativeEndian.AppendUint64(raw, n)
	}
	return d.list.Bytes(raw)
}
