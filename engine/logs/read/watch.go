package read

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watch wakes a reader when its folder changes, inotify(7).
type watch struct {
	file *os.File
	wake chan struct{} // holds one token: look again
	gone chan struct{} // closed: the folder is no more
	done sync.WaitGroup
}

func newWatch(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot follow log: %w", err)
	}
	const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot follow log: %w", err), unix.Close(fd))
	}
	w := &watch{
		file: os.NewFile(uintptr(fd), "inotify"),
		wake: make(chan struct{}, 1),
		gone: make(chan struct{}),
	}
	w.done.Add(1)
	go w.read()
	return w, nil
}

func (w *watch) read() {
	defer w.done.Done()
	defer close(w.gone)
	events := make([]byte, 4096)
	for {
		n, err := w.file.Read(events)
		if err != nil || hasEnd(events[:n]) {
			return // closed by close, or the folder is gone
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// hasEnd reports whether events tell of the folder's end.
func hasEnd(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := uint32(events[4]) | uint32(events[5])<<8 | uint32(events[6])<<16 | uint32(events[7])<<24
		size := int(uint32(events[12]) | uint32(events[13])<<8)
		if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 {
			return true
		}
		if len(events) < unix.SizeofInotifyEvent+size {
			return false
		}
		events = events[unix.SizeofInotifyEvent+size:]
	}
	return false
}

// wait returns when there may be more (false), or when there will be no more
// (true): done is closed, until has passed, or the folder is gone.
func (w *watch) wait(ctx context.Context, done <-chan struct{}, until time.Time) (ending bool, err error) {
	var passed <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-w.wake:
		return false, nil
	case <-done:
		return true, nil
	case <-passed:
		return true, nil
	case <-w.gone:
		return true, nil
	case <-ctx.Done():
		return false, fmt.Errorf("cannot follow log: %w", ctx.Err())
	}
}

func (w *watch) close() error {
	err := w.file.Close()
	w.done.Wait()
	return err
}
