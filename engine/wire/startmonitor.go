package wire

import (
	"errors"
	"fmt"
	"os"

	"github.com/mycompose/mycompose/engine/folder"
)

// MonitorIDVariable tells a monitor the full id of its container.
const MonitorIDVariable = "MYCOMPOSE_CONTAINER"

// ErrMonitorThere: a monitor of this container lives; dial it.
var ErrMonitorThere = errors.New("its monitor is there")

// StartMonitor starts the monitor of a container from the small program. Its
// socket listens when StartMonitor returns: dial place.MonitorSocket(id). The
// caller places the process into a cgroup and waits for it. binary is what the
// monitor gives to a keeper should it have to start one.
//
// It gets one processor, since it mostly waits, and a heap that is collected
// from 1 MiB on: there are as many monitors as containers.
func StartMonitor(place folder.Place, id string, binary, small *os.File) (*os.Process, error) {
	held, err := holdMonitor(place, id)
	if err != nil {
		return nil, err
	}
	defer held.close()
	program := monitorProgram(place, id[:shortID], id, small)
	program.Files = []*os.File{binary, small, held.listener.File(), held.lock.File()}
	process, err := program.Start()
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:shortID], err)
	}
	return process, nil
}

// monitorProgram is the monitor, without what it inherits.
func monitorProgram(place folder.Place, shown, id string, small *os.File) Small {
	return Small{
		Program: small,
		Args:    []string{RoleMonitor, shown},
		Env:     append(place.Environment(), MonitorIDVariable+"="+id, "GOMAXPROCS=1", "GOGC=25"),
		// One start opens some forty, an exec ten.
		Descriptors: 256,
	}
}

// holdMonitor takes the lock of a container's monitor and listens for who dials it.
func holdMonitor(place folder.Place, id string) (h holder, err error) {
	if len(id) < shortID || folder.CheckName(id) != nil {
		return h, fmt.Errorf("cannot start monitor: bad container id %q", id)
	}
	h, err = hold(place.MonitorLock(id), place.MonitorSocket(id))
	if errors.Is(err, folder.ErrLocked) {
		err = ErrMonitorThere
	}
	if err != nil {
		return h, fmt.Errorf("cannot start monitor of %s: %w", id[:shortID], err)
	}
	return h, nil
}

// holder is what a role holds from before it exists.
type holder struct {
	lock     *folder.Lock
	listener *Listener
}

// hold takes a lock and listens. A held lock gives folder.ErrLocked.
func hold(lockPath, socket string) (h holder, err error) {
	if h.lock, err = folder.TryLockFile(lockPath, folder.Exclusive); err != nil {
		return h, err
	}
	if h.listener, err = Listen(socket); err != nil {
		return h, errors.Join(err, h.lock.Unlock())
	}
	return h, nil
}

// close lets go of it here; a process that inherited it has it on.
func (h holder) close() {
	h.listener.Close()
	h.lock.Unlock()
}

// startHolder starts a role that holds a lock and listens, with the four
// descriptors that TakeInherited takes over: the lock is taken and the socket
// listens before the process exists. A held lock gives folder.ErrLocked.
func startHolder(lockPath, socket string, binary *os.File, s Small) (*os.Process, error) {
	held, err := hold(lockPath, socket)
	if err != nil {
		return nil, err
	}
	defer held.close()
	s.Files = []*os.File{binary, s.Program, held.listener.File(), held.lock.File()}
	return s.Start()
}
