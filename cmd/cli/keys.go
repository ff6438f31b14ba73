package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// keys reads single keys from a terminal that goes on to make signals of Ctrl-C
// and Ctrl-Z, and to end lines as programs expect; only echo and the wait for
// Enter are off. What it changed it takes back in close, before the program is
// stopped, and before a signal ends it.
//
//	reading ──SIGTSTP──▶ restored, stopped ──SIGCONT, in the foreground──▶ reading
//	   └────SIGHUP──▶ restored, ended by it
type keys struct {
	fd      int
	before  unix.Termios
	pressed chan byte
	signals chan os.Signal
	wake    *os.File // closed to end the reader
	sleeper *os.File
	ended   chan struct{}
	done    sync.WaitGroup
}

// openKeys begins to read keys of a terminal.
func openKeys(terminal *os.File) (*keys, error) {
	k := &keys{fd: int(terminal.Fd()), pressed: make(chan byte), signals: make(chan os.Signal, 4), ended: make(chan struct{})}
	before, err := unix.IoctlGetTermios(k.fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot read keys: %w", err)
	}
	k.before = *before
	if k.sleeper, k.wake, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("cannot read keys: %w", err)
	}
	signal.Notify(k.signals, unix.SIGTSTP, unix.SIGCONT, unix.SIGHUP)
	k.grab()
	k.done.Add(2)
	go k.read()
	go k.obey()
	return k, nil
}

// close gives the terminal back and waits for the goroutines.
func (k *keys) close() {
	signal.Stop(k.signals)
	close(k.ended)
	k.wake.Close()
	k.done.Wait()
	k.sleeper.Close()
	k.release()
}

// foreground reports whether we may touch the terminal: a job in the background
// that does is stopped.
func (k *keys) foreground() bool {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func (k *keys) grab() {
	if !k.foreground() {
		return
	}
	t := k.before
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	t.Cc[unix.VQUIT] = 0 // _POSIX_VDISABLE: SIGQUIT would end us with the terminal as it is
	// If this fails there is no terminal any more that could be read.
	_ = unix.IoctlSetTermios(k.fd, unix.TCSETS, &t)
}

func (k *keys) release() {
	if k.foreground() {
		_ = unix.IoctlSetTermios(k.fd, unix.TCSETS, &k.before)
	}
}

// backgroundPause is how long keys that are not for us are left alone.
const backgroundPause = 200 * time.Millisecond

// read hands keys over until close.
func (k *keys) read() {
	defer k.done.Done()
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
			case <-k.ended:
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
		case <-k.ended:
			return
		}
	}
}

// obey stops, goes on and ends as signals ask, with the terminal as it was.
func (k *keys) obey() {
	defer k.done.Done()
	for {
		select {
		case <-k.ended:
			return
		case s := <-k.signals:
			switch s {
			case unix.SIGTSTP:
				k.release()
				_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
			case unix.SIGCONT:
				k.grab()
			case unix.SIGHUP:
				k.release()
				signal.Reset(unix.SIGHUP)
				_ = unix.Kill(unix.Getpid(), unix.SIGHUP)
			}
		}
	}
}
