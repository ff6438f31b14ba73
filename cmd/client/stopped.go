package client

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/wire"
)

// attended is a connection to a daemon. While somebody waits for bytes of it, it is
// looked every now and then whether the daemon's process has been stopped, which
// nothing else would show.
type attended struct {
	*net.UnixConn
	pid     int // of the daemon
	every   time.Duration
	tell    func(stopped bool, pid int)
	waiting atomic.Int32
	closed  atomic.Bool
}

// attend looks after a connection until it is closed.
func (c *Client) attend(conn *net.UnixConn) net.Conn {
	pid, err := peerPID(conn)
	if err != nil || pid == 0 { // 0: it is in a namespace that we do not see
		return conn
	}
	a := &attended{UnixConn: conn, pid: pid, every: c.silence, tell: c.halted}
	time.AfterFunc(a.every, a.look)
	return a
}

func (a *attended) look() {
	if a.closed.Load() {
		return
	}
	if _, stopped, err := wire.ProcessState(a.pid); err == nil && a.waiting.Load() > 0 {
		a.tell(stopped, a.pid)
	}
	time.AfterFunc(a.every, a.look)
}

// Read is net.Conn's.
func (a *attended) Read(p []byte) (int, error) {
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	return a.UnixConn.Read(p)
}

// Close is net.Conn's.
func (a *attended) Close() error {
	a.closed.Store(true)
	return a.UnixConn.Close()
}

// onStop returns what tells waiting of a stopped daemon, each time that it is
// stopped.
func onStop(waiting func(text string)) func(stopped bool, pid int) {
	var told atomic.Bool
	return func(stopped bool, pid int) {
		if told.Swap(stopped) || !stopped {
			return
		}
		waiting(fmt.Sprintf("somebody has stopped the daemon (pid %d): waiting for it; `kill -CONT %d` lets it go on", pid, pid))
	}
}

// peerPID asks the kernel who listens at the other end, unix(7) SO_PEERCRED.
func peerPID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var optionErr error
	if err = raw.Control(func(fd uintptr) {
		credentials, optionErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err == nil {
		err = optionErr
	}
	if err != nil {
		return 0, err
	}
	return int(credentials.Pid), nil
}
