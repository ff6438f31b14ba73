package proxy

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is how many connections the kernel completes ahead of accept.
const backlog = 512

// listener is one entry at work.
type listener struct {
	file *os.File
	raw  syscall.RawConn
	// accepted is closed when no more is accepted; left is 0 once all connections
	// have ended too.
	accepted chan struct{}
	left     atomic.Int32
	drained  atomic.Bool
	halted   chan struct{} // closed by stop

	mu      sync.Mutex // guards what follows
	at      place
	stopped bool
	conns   map[*os.File]bool // true: it is connected to the target, or is that
	running sync.WaitGroup
}

// place is what a move changes.
type place struct {
	id     string
	target Target
	// hold is how long connections wait for gate, which drain and a move without
	// a hold close.
	hold time.Duration
	gate chan struct{}
}

func (l *listener) place() place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// move has who waits wait for another target, or go there.
func (l *listener) move(m Move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Hold == 0 {
		close(l.at.gate)
		l.at.gate = make(chan struct{})
	}
	if m.ID != l.at.id {
		for f, connected := range l.conns {
			if connected {
				shutdown(f, unix.SHUT_RDWR)
			}
		}
	}
	l.at.id, l.at.target, l.at.hold = m.ID, m.Target, m.Hold
}

// begin takes a socket over.
func begin(e Entry) (worker, error) {
	if e.Target.Port == 0 {
		return nil, fmt.Errorf("cannot copy to %s: it has no port", e.Target)
	}
	fd := int(e.Listener.Fd())
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("cannot copy to %s: %w", e.Target, err)
	}
	// A file of its own, so that it is known to the poller.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(own, true)
	}
	if err == nil && kind == unix.SOCK_DGRAM {
		return relayed(e, own)
	}
	if err == nil {
		err = setReuse(own, 1)
	}
	if err == nil {
		err = unix.Listen(own, backlog)
	}
	if err != nil {
		if own >= 0 {
			unix.Close(own)
		}
		return nil, fmt.Errorf("cannot listen for %s: %w", e.ID, err)
	}
	f := os.NewFile(uintptr(own), "listener "+e.ID)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot listen for %s: %w", e.ID, err)
	}
	e.Listener.Close()
	made := &listener{
		file: f, raw: raw, accepted: make(chan struct{}), halted: make(chan struct{}), conns: map[*os.File]bool{},
		at: place{e.ID, e.Target, e.Hold, make(chan struct{})},
	}
	made.left.Store(1)
	return made, nil
}

// setReuse switches SO_REUSEADDR, which is on while the socket listens and off
// while it only reserves its port. Connections inherit it, and thus do not keep
// the socket from listening again while they are in TIME_WAIT.
func setReuse(fd, on int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on)
}

// serve accepts until stop, and returns when its last connection has ended.
func (l *listener) serve(report Report) {
	for {
		fd, err := l.accept()
		if scarce(err) && !l.isStopped() {
			report(l.place().id, fmt.Errorf("cannot accept: %w", err))
			time.Sleep(pause)
			continue
		}
		if err != nil {
			if !l.isStopped() && !l.drained.Load() {
				report(l.place().id, fmt.Errorf("cannot accept: %w", err))
			}
			break
		}
		if !l.take(fd, report) {
			break
		}
	}
	close(l.accepted)
	l.running.Wait()
	l.file.Close()
	l.left.Store(0)
}

// take has an accepted connection handled; false means that the listener has
// stopped.
func (l *listener) take(fd int, report Report) bool {
	client := os.NewFile(uintptr(fd), "client")
	if !l.keep(client) {
		return false
	}
	l.running.Go(func() {
		defer l.forget(client)
		if err := l.handle(client); err != nil && !l.isStopped() {
			report(l.place().id, err)
		}
	})
	return true
}

// retire stops listening; the port stays reserved by the keeper's duplicate.
func (l *listener) retire() {
	_ = l.raw.Control(func(fd uintptr) {
		_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
		_ = setReuse(int(fd), 0)
	})
}

func acceptNow(s int) (int, error) {
	for {
		fd, _, err := unix.Accept4(s, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		return fd, err
	}
}

// drain opens the gate, takes those that wait in the kernel's queue, and stops
// listening. When it returns, nothing of l touches the socket any more, so that
// it may listen anew.
func (l *listener) drain(report Report) {
	l.drained.Store(true)
	close(l.place().gate)
	for {
		fd, err := -1, error(unix.EAGAIN)
		_ = l.raw.Control(func(s uintptr) { fd, err = acceptNow(int(s)) }) // closed: nobody waits
		if err != nil || !l.take(fd, report) {
			break
		}
	}
	l.retire()
	<-l.accepted
}

// pause is how long accepting rests when the kernel is short of something.
const pause = 50 * time.Millisecond

// scarce says whether an error of accept passes by itself.
func scarce(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (l *listener) accept() (int, error) {
	fd := -1
	var err error
	waited := l.raw.Read(func(s uintptr) bool {
		fd, err = acceptNow(int(s))
		return !errors.Is(err, unix.EAGAIN)
	})
	if waited != nil {
		return -1, waited
	}
	return fd, err
}

// handle connects to the target and copies both ways until both have ended.
func (l *listener) handle(client *os.File) error {
	if at := l.place(); at.hold > 0 {
		select {
		case <-at.gate:
		case <-l.halted:
			return nil
		case <-time.After(at.hold):
		}
	}
	server, err := connect(l.place().target)
	if err != nil {
		return fmt.Errorf("cannot connect to the container: %w", err)
	}
	if !l.keep(server) {
		return nil
	}
	defer l.forget(server)
	l.connected(client, server)
	var back sync.WaitGroup
	back.Go(func() { pump(client, server) })
	pump(server, client)
	back.Wait()
	return nil
}

// keep notes an open file so that stop can end it; false means that it was
// closed because the listener has stopped.
func (l *listener) keep(f *os.File) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		f.Close()
		return false
	}
	l.conns[f] = false
	return true
}

// connected notes that two files are the ends of one connection.
func (l *listener) connected(files ...*os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range files {
		l.conns[f] = true
	}
}

func (l *listener) forget(f *os.File) {
	l.mu.Lock()
	delete(l.conns, f)
	l.mu.Unlock()
	f.Close()
}

// stop ends accepting, and all connections. The socket stops listening although
// the keeper holds a duplicate; its port stays reserved there. When stop
// returns, nothing of l touches the socket any more, so that it may listen anew.
func (l *listener) stop() {
	l.halt()
	l.file.Close()
	<-l.accepted
}

func (l *listener) halt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped = true
	close(l.halted)
	if !l.drained.Load() { // else it is another entry's by now
		l.retire()
	}
	for f, connected := range l.conns {
		if connected {
			shutdown(f, unix.SHUT_RDWR)
		} else {
			abort(f)
		}
	}
}

func (l *listener) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}
