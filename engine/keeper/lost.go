package keeper

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

// firstLook is how long after an event a name is looked for again, lastLook about
// how long after it for the last time.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = time.Second
)

// watchLock calls lost once path does not name the lock file any more, which is
// held and so is never removed by one of ours. It ends with the file that it
// returns, which the caller closes.
func watchLock(lock *os.File, path string, lost func()) (*os.File, error) {
	return watchName(path, func() bool { return folder.IsAt(lock, path) }, lost)
}

// watchSocket does so for the socket that path names now: without its name nobody
// reaches the keeper.
func watchSocket(path string, lost func()) (*os.File, error) {
	own, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return watchName(path, func() bool {
		now, err := os.Lstat(path)
		return err == nil && os.SameFile(own, now)
	}, lost)
}

// watchName calls lost once path is not ours.
func watchName(path string, ours func() bool, lost func()) (*os.File, error) {
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
		// The kernel tells of a name's end a moment before the name goes: after
		// an event it is looked some times more.
		pause := time.Duration(0)
		for ours() {
			var deadline time.Time
			if pause > 0 {
				deadline = time.Now().Add(pause)
			}
			_ = events.SetReadDeadline(deadline) // else it is not looked again
			_, err := events.Read(buffer)
			switch {
			case err == nil:
				pause = firstLook
			case !errors.Is(err, os.ErrDeadlineExceeded):
				return
			case pause < lastLook:
				pause *= 8
			default:
				pause = 0
			}
		}
		lost()
	}()
	return events, nil
}
