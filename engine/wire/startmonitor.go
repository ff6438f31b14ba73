package wire

import (
	"errors"
	"fmt"
	"os"

	"github.com/mycompose/mycompose/engine/store"
)

// MonitorIDVariable tells a monitor the full id of its container.
const MonitorIDVariable = "MYCOMPOSE_CONTAINER"

// ErrMonitorThere: a monitor of this container lives; dial it.
var ErrMonitorThere = errors.New("its monitor is there")

// StartMonitor starts the monitor of a container from the small program. Its
// socket listens when StartMonitor returns: dial place.MonitorSocket(id). The
// caller places the process into a cgroup and waits for it. binary is what the
// monitor gives to a keeper should it have to start one.
func StartMonitor(place store.Place, id string, binary, small *os.File) (*os.Process, error) {
	if len(id) < 12 || store.CheckName(id) != nil {
		return nil, fmt.Errorf("cannot start monitor: bad container id %q", id)
	}
	lock, err := store.TryLockFile(place.MonitorLock(id), store.Exclusive)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:12], ErrMonitorThere)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:12], err)
	}
	defer lock.Unlock() // the monitor holds it on
	listener, err := Listen(place.MonitorSocket(id))
	if err != nil {
		return nil, fmt.Errorf("cannot start monitor of %s: %w", id[:12], err)
	}
	defer listener.Close()
	env := append(place.Environment(), MonitorIDVariable+"="+id)
	return Small{
		Program: small,
		Args:    []string{RoleMonitor, id[:12]},
		Env:     env,
		Files:   []*os.File{binary, small, listener.File(), lock.File()},
	}.Start()
}
