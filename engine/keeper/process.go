package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/wire"
)

// child is a daemon that this keeper started. Its waiter ends with it.
type child struct {
	process *os.Process
	ended   chan struct{}
	killed  bool // set before ended is closed
}

func (k *Keeper) newChild(process *os.Process) *child {
	c := &child{process: process, ended: make(chan struct{})}
	go func() { // waited for by Ended
		defer close(c.ended)
		state, err := wire.Wait(process) // why it ended is in its own log
		if err != nil {
			state = &os.ProcessState{}
		}
		if status, ok := state.Sys().(syscall.WaitStatus); ok {
			c.killed = status.Signaled() && status.Signal() == syscall.SIGKILL
		}
		k.starting.Lock()
		defer k.starting.Unlock()
		delete(k.ownChild, process.Pid)
	}()
	return c
}

func (c *child) PID() int               { return c.process.Pid }
func (c *child) Ended() <-chan struct{} { return c.ended }
func (c *child) Killed() bool           { return c.killed }

func (c *child) Signal(hard bool) error {
	err := c.process.Signal(signalOf(hard))
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func signalOf(hard bool) syscall.Signal {
	if hard {
		return unix.SIGKILL
	}
	return unix.SIGTERM
}

// watched is a daemon that another keeper started, by its pidfd.
type watched struct {
	pid   int
	pidfd *os.File
	ended chan struct{}
}

// watchDaemon watches the process that holds the daemon's lock.
func watchDaemon(pid int) (*watched, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	w := &watched{pid, os.NewFile(uintptr(fd), "pidfd"), make(chan struct{})}
	go func() { // waited for by Ended
		defer close(w.ended)
		raw, err := w.pidfd.SyscallConn()
		if err != nil {
			return
		}
		// Readable once it has ended, pidfd_open(2).
		_ = raw.Read(func(fd uintptr) bool {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(poll, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		w.pidfd.Close()
	}()
	return w, nil
}

func (w *watched) PID() int               { return w.pid }
func (w *watched) Ended() <-chan struct{} { return w.ended }
func (w *watched) Killed() bool           { return false } // not our child

func (w *watched) Signal(hard bool) error {
	raw, err := w.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var killErr error
	err = raw.Control(func(fd uintptr) {
		killErr = unix.PidfdSendSignal(int(fd), signalOf(hard), nil, 0)
	})
	err = errors.Join(err, killErr)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrClosed) {
		return nil // it has ended
	}
	return err
}

// reapOrphans reaps processes that were reparented to us, monitors above all.
// Daemons have their own waiter.
func (k *Keeper) reapOrphans(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	defer signal.Stop(signals)
	for {
		again := k.reap()
		var soon <-chan time.Time
		if again {
			soon = time.After(10 * time.Millisecond)
		}
		select {
		case <-signals:
		case <-soon:
		case <-ctx.Done():
			return
		}
	}
}

// reap reaps all ended children but the daemon; one that may be the daemon
// stops it, and it asks to be called again.
func (k *Keeper) reap() (again bool) {
	for {
		pid := wire.EndedChild()
		if pid == 0 {
			return false
		}
		if !k.reapOne(pid) {
			return true
		}
	}
}

// reapOne reaps an orphan. While a daemon is being started its pid is not known
// yet: then nothing is reaped.
func (k *Keeper) reapOne(pid int) bool {
	k.starting.Lock()
	defer k.starting.Unlock()
	if k.ownChild[pid] {
		return false
	}
	_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil
}
