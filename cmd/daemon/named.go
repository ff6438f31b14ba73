package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// named keeps a name for the daemon's socket: who removes it from the run folder,
// as a cleaner may, would leave a daemon that nobody can reach.
//
//	listen ─▶ serve ─▶ name gone ─▶ listen anew ─▶ serve that one too ─▶ …
type named struct {
	path  string
	serve func(net.Listener) // returns at once
	log   *slog.Logger

	events  *os.File // inotify(7), of the socket's name
	watched sync.WaitGroup
}

// firstLook is how long after an event the name is looked for again, lastLook about
// how long after it for the last time.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = time.Second
)

// keep watches the name that there is until close.
func (n *named) keep() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	n.events = os.NewFile(uintptr(fd), "inotify")
	own, err := n.watch(fd)
	if errors.Is(err, fs.ErrNotExist) { // it is removed already
		own, err = n.anew(fd)
	}
	if err != nil {
		n.close()
		return err
	}
	n.watched.Go(func() {
		buffer := make([]byte, 4096)
		// The kernel tells of a name's end a moment before the name goes: after
		// an event it is looked some times more.
		pause := time.Duration(0)
		for {
			if now, err := os.Lstat(n.path); err != nil || !os.SameFile(own, now) {
				if own, err = n.anew(fd); err != nil {
					n.log.Error("the daemon's socket has lost its name", "err", err)
					return // with the whole folder: the keeper sees to that
				}
				n.log.Warn("the daemon's socket was removed by somebody: it is there again", "path", n.path)
			}
			var deadline time.Time
			if pause > 0 {
				deadline = time.Now().Add(pause)
			}
			_ = n.events.SetReadDeadline(deadline) // else it is not looked again
			_, err := n.events.Read(buffer)
			switch {
			case err == nil:
				pause = firstLook
			case !errors.Is(err, os.ErrDeadlineExceeded):
				return // closed
			case pause < lastLook:
				pause *= 8
			default:
				pause = 0
			}
		}
	})
	return nil
}

// anew makes another socket of that name, and serves it once it is watched: who
// removes it in between is seen.
func (n *named) anew(fd int) (own os.FileInfo, err error) {
	for {
		l, err := listen(n.path)
		if err != nil {
			return nil, err
		}
		own, err = n.watch(fd)
		if err == nil {
			n.serve(l)
			return own, nil
		}
		l.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// watch begins to watch the name. The end of a file's last name changes the count
// of names, which is an attribute.
func (n *named) watch(fd int) (os.FileInfo, error) {
	if _, err := unix.InotifyAddWatch(fd, n.path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF); err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", n.path, err)
	}
	return os.Lstat(n.path)
}

// close ends keep. The socket keeps the name that it has.
func (n *named) close() {
	if n.events != nil {
		n.events.Close() // wakes the reader
	}
	n.watched.Wait()
}
