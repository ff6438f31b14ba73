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
	if len(id) < 12 || folder.CheckName(id) != nil {
		return nil, fmt.Errorf("cannot start monitor: bad container id %q", id)
	}
	process, err := startHolder(place.MonitorLock(id), place.MonitorSocket(id), binary, Small{
		Program: small,
		Args:    []string{RoleMonitor, id[:12]},
		Env:     append(place.Environment(), MonitorIDVariable+"="+id, "GOMAXPROCS=1", "GOGC=25"),
		// One start opens some forty, an exec ten.
		Descriptors: 256,
	})
	if errors.Is(err, folder.ErrLocked) {
		err = ErrMonitorThere
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:12], err)
	}
	return process, nil
}

// startHolder starts a role that holds a lock and listens, with the four
// descriptors that TakeInherited takes over: the lock is taken and the socket
// listens before the process exists. A held lock gives folder.ErrLocked.
func startHolder(lockPath, socket string, binary *os.File, s Small) (*os.Process, error) {
	lock, err := folder.TryLockFile(lockPath, folder.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock() // the process holds it on
	listener, err := Listen(socket)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	s.Files = []*os.File{binary, s.Program, listener.File(), lock.File()}
	return s.Start()
}
