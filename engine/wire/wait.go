package wire

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Wait waits for a child as process.Wait does, without a thread of its own for
// as long as the child lives: a pidfd is readable once its process has ended,
// pidfd_open(2), and the poller waits for that. A daemon with a monitor for
// every container has none of their threads.
func Wait(process *os.Process) (*os.ProcessState, error) {
	// The number is the child's until it is waited for, below.
	if fd, err := unix.PidfdOpen(process.Pid, unix.PIDFD_NONBLOCK); err == nil {
		pidfd := os.NewFile(uintptr(fd), "pidfd")
		awaitReadable(pidfd)
		pidfd.Close()
	}
	return process.Wait()
}

// awaitReadable returns when a pollable file is readable, or when it cannot be
// polled.
func awaitReadable(file *os.File) {
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	// An error leaves the waiting to process.Wait.
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}
