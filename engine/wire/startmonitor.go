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

// StartMonitor starts the monitor of a container from the small program: HoldMonitor
// and Start.
func StartMonitor(place folder.Place, id string, binary, small *os.File) (*os.Process, error) {
	held, err := HoldMonitor(place, id)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	return held.Start(binary, small)
}

// MonitorHold is what the monitor of a container holds from before it exists: its
// lock, and the socket that it listens on.
type MonitorHold struct {
	place folder.Place
	id    string
	holder
}

// HoldMonitor takes them. Who dials place.MonitorSocket(id) from then on is heard
// once there is a monitor. One that lives gives ErrMonitorThere.
func HoldMonitor(place folder.Place, id string) (*MonitorHold, error) {
	if len(id) < shortID || folder.CheckName(id) != nil {
		return nil, fmt.Errorf("cannot start monitor: bad container id %q", id)
	}
	held, err := hold(place.MonitorLock(id), place.MonitorSocket(id))
	if errors.Is(err, folder.ErrLocked) {
		err = ErrMonitorThere
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:shortID], err)
	}
	return &MonitorHold{place, id, held}, nil
}

// Close lets go of them here; the monitor has them on.
func (h *MonitorHold) Close() { h.close() }

// Start starts the monitor. The caller waits for the process. binary is what it
// gives to a keeper should it have to start one.
//
// It gets one processor, since it mostly waits, and a heap that is collected
// from 1 MiB on: there are as many monitors as containers.
func (h *MonitorHold) Start(binary, small *os.File) (*os.Process, error) {
	program := monitorProgram(h.place, h.id[:shortID], h.id, small)
	program.Files = []*os.File{binary, small, h.listener.File(), h.lock.File()}
	process, err := program.Start()
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", h.id[:shortID], err)
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
