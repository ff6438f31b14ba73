package wire

import (
	"errors"
	"os"
	"unsafe"

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

// childInfo is siginfo_t of waitid(2) on 64-bit machines.
type childInfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	status                int32
	_                     [100]byte
}

// EndedChild is a child that has ended and that nobody has waited for, 0 if there is
// none. It stays so: who asks again before it has been waited for gets it again.
func EndedChild() (pid int) {
	for {
		var info childInfo
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0 // no children
		default:
			return int(info.pid)
		}
	}
}
