package engine

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
)

const (
	// keepPending is how long the reader that a container was begun for may
	// stay away and still find the end of its output; as long as an exec's.
	keepPending = time.Minute
	// pendingRoom bounds it in bytes; a monitor keeps no more.
	pendingRoom = 2 << 20
)

// pending is the end of a container's stream to the reader that it was begun
// for. The monitor holds it; when its container has ended while there was no
// engine, or before the reader has found the next one, the monitor leaves with
// that one, which keeps it for the reader to come back.
type pending struct {
	from int64 // so many bytes of the stream came before
	data []byte
}

// keepOutput keeps what the reader of a run that an engine before us began may
// not have got; its monitor is about to leave. turn is held.
func (e *Engine) keepOutput(l *life) {
	m := l.held.monitor
	if !l.held.adopted || m == nil {
		return
	}
	l.held.adopted = false
	status, netns, err := m.Status(e.ctx)
	container.CloseFiles([]*os.File{netns})
	if err == nil && status.Written > 0 {
		err = e.takePending(l, m, status.Written)
	}
	if err != nil {
		e.log.Error("output is lost", "container", l.name(), "err", err)
	}
}

// takePending asks a monitor for the end of a stream of so many bytes. turn is
// held.
func (e *Engine) takePending(l *life, m *container.Monitor, written int64) error {
	ctx, cancel := context.WithTimeout(e.ctx, killTime)
	defer cancel()
	f, err := m.Attach(ctx, "", false, new(int64))
	if err != nil {
		return err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	data, err := io.ReadAll(io.LimitReader(f, pendingRoom))
	if err != nil {
		return fmt.Errorf("cannot keep output of %s: %w", l.name(), err)
	}
	kept := &pending{from: written - int64(len(data)), data: data}
	l.held.pending = kept
	e.goDo(func() {
		select {
		case <-time.After(keepPending):
		case <-e.ctx.Done():
		}
		l.turn.Lock()
		defer l.turn.Unlock()
		if l.held.pending == kept {
			l.held.pending = nil
		}
	})
	return nil
}

// attachPending returns a stream with what a reader has not got yet of a
// container that has ended.
func (e *Engine) attachPending(id string, from int64) (*net.UnixConn, error) {
	l, err := e.life(id)
	if err != nil {
		return nil, err
	}
	l.turn.Lock()
	kept := l.held.pending
	l.turn.Unlock()
	if kept == nil {
		return nil, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	ours, theirs, err := unixPair()
	if err != nil {
		return nil, fmt.Errorf("cannot attach: %w", err)
	}
	begin := min(max(from-kept.from, 0), int64(len(kept.data)))
	e.goDo(func() {
		stop := context.AfterFunc(e.ctx, func() { ours.Close() })
		defer stop()
		defer ours.Close()
		_, _ = ours.Write(kept.data[begin:]) // a reader that has gone comes back
	})
	return theirs, nil
}

// unixPair returns the two ends of a stream socket.
func unixPair() (a, b *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "stream")
		defer f.Close()
		conn, connErr := net.FileConn(f)
		if connErr != nil {
			err = connErr
			continue
		}
		ends[i] = conn.(*net.UnixConn)
	}
	if err != nil {
		for _, end := range ends {
			if end != nil {
				end.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}
