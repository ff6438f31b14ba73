package cli

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keys reads single keys from a terminal. What it changed it takes back in close,
// before the program is stopped, and before a signal ends it (see grip).
type keys struct {
	*grip
	pressed chan byte
	wake    *os.File // closed to end the reader
	sleeper *os.File
	stopped chan struct{}
	reading sync.WaitGroup
}

// openKeys begins to read keys of a terminal.
func (s *session) openKeys(terminal *os.File) (*keys, error) {
	k := &keys{pressed: make(chan byte), stopped: make(chan struct{})}
	var err error
	if k.sleeper, k.wake, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("cannot read keys: %w", err)
	}
	if k.grip, err = s.openGrip(terminal, singleKeys); err != nil {
		return nil, errors.Join(err, k.sleeper.Close(), k.wake.Close())
	}
	k.reading.Add(1)
	go s.guarded(k.read)
	return k, nil
}

// close gives the terminal back and waits for the goroutines.
func (k *keys) close() {
	close(k.stopped)
	k.wake.Close()
	k.reading.Wait()
	k.sleeper.Close()
	k.grip.close()
}

// backgroundPause is how long keys that are not for us are left alone.
const backgroundPause = 200 * time.Millisecond

// read hands keys over until close.
func (k *keys) read() {
	defer k.reading.Done()
	fds := []unix.PollFd{{Fd: int32(k.fd), Events: unix.POLLIN}, {Fd: int32(k.sleeper.Fd()), Events: unix.POLLIN}}
	one := make([]byte, 1)
	for {
		fds[0].Revents, fds[1].Revents = 0, 0
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0 {
			return // closed, or the terminal is gone
		}
		if !k.foreground() {
			select {
			case <-k.stopped:
				return
			case <-time.After(backgroundPause):
			}
			continue
		}
		if n, err := unix.Read(k.fd, one); n != 1 || err != nil {
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			return
		}
		select {
		case k.pressed <- one[0]:
		case <-k.stopped:
			return
		}
	}
}
