package keeper

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

// watchLock calls lost once path does not name the lock file any more, which is
// held and so is never removed by one of ours. It ends with the file that it
// returns, which the caller closes.
func watchLock(lock *os.File, path string, lost func()) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	// The last name's end changes the count of names, which is an attribute.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF); err != nil {
		events.Close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	go func() { // ends with events
		buffer := make([]byte, 4096)
		for folder.IsAt(lock, path) {
			if _, err := events.Read(buffer); err != nil {
				return
			}
		}
		lost()
	}()
	return events, nil
}
