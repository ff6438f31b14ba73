package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/wire"
)

// children tells our own processes, each of which has its waiter, from orphans
// that were reparented to us as subreaper, which nobody waits for.
type children struct {
	mu    sync.Mutex // guards what follows
	held  int        // starts under way: their children are nobody's yet
	known map[int]bool
}

func newChildren() *children { return &children{known: map[int]bool{}} }

// hold keeps orphans unreaped while a start has children that it waits for.
func (c *children) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held++
}

func (c *children) release() {
	c.mu.Lock()
	c.held--
	c.mu.Unlock()
	c.reap()
}

// add makes a pid one that has its waiter; called before release.
func (c *children) add(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[pid] = true
}

// wait waits for the end of a child that was added.
func (c *children) wait(pid int, pidfd *os.File) (unix.WaitStatus, error) {
	if err := waitReadable(pidfd); err != nil {
		return 0, fmt.Errorf("cannot wait for process %d: %w", pid, err)
	}
	status, err := c.collect(pid)
	if err != nil {
		return 0, fmt.Errorf("cannot wait for process %d: %w", pid, err)
	}
	c.reap()
	return status, nil
}

// collect reaps a child that has ended. Under the lock: once it is reaped its
// pid can come back as another child's.
func (c *children) collect(pid int) (status unix.WaitStatus, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer delete(c.known, pid)
	for {
		_, err = unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// waitReadable waits without a thread of its own: a pidfd is readable once its
// process has ended, pidfd_open(2).
func waitReadable(pidfd *os.File) error {
	file, err := pollable(pidfd)
	if err != nil {
		return err
	}
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		var n int
		n, pollErr = unix.Poll(poll, 0)
		return n > 0 || pollErr != nil && !errors.Is(pollErr, unix.EINTR)
	})
	return errors.Join(err, pollErr)
}

// reapOrphans reaps at each SIGCHLD until ctx ends.
func (c *children) reapOrphans(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	defer signal.Stop(signals)
	for {
		c.reap()
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
	}
}

// reap reaps ended orphans. It looks without reaping first; a child that has
// its waiter stops it, and it is called again once that one is reaped.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.held == 0 {
		pid := wire.EndedChild()
		if pid == 0 || c.known[pid] {
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
			return
		}
	}
}
