package folder

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// NameWatch says when to look whether a file in the run folder still has its name,
// which somebody may take away.
type NameWatch struct {
	events *os.File // inotify(7)
	pause  time.Duration
}

// firstLook is how long after an event a name is looked for again, lastLook about
// how long after it for the last time.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = time.Second
)

// NewNameWatch makes one that watches nothing yet. The caller closes it.
func NewNameWatch() (*NameWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return &NameWatch{events: os.NewFile(uintptr(fd), "inotify")}, nil
}

// Add watches the file that path names now. A missing one gives fs.ErrNotExist.
func (w *NameWatch) Add(path string) error {
	var addErr error
	raw, err := w.events.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			// The last name's end changes the count of names, which is an attribute.
			_, addErr = unix.InotifyAddWatch(int(fd), path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
		})
	}
	if err := errors.Join(err, addErr); err != nil {
		return fmt.Errorf("cannot watch %s: %w", path, err)
	}
	return nil
}

// Wait returns when it is to be looked again; false once it is closed. The kernel
// tells of a name's end a moment before the name goes, so after an event it is
// looked some times more.
func (w *NameWatch) Wait() bool {
	var deadline time.Time // without one it is not looked again
	if w.pause > 0 {
		deadline = time.Now().Add(w.pause)
	}
	if err := w.events.SetReadDeadline(deadline); err != nil {
		return false
	}
	_, err := w.events.Read(make([]byte, 4096))
	switch {
	case err == nil:
		w.pause = firstLook
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case w.pause < lastLook:
		w.pause *= 8
	default:
		w.pause = 0
	}
	return true
}

// Close ends it, nil too; Wait returns.
func (w *NameWatch) Close() error {
	if w == nil {
		return nil
	}
	return w.events.Close()
}
