package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// target is a running container as an exec needs it. The files stay whose they
// are.
type target struct {
	monitor *container.Monitor
	pid     int
	pidfd   *os.File
}

// exec starts a further process. capture keeps so many bytes of its output for
// the waiter; 0 leaves it to attach, and throws it away for a negative one.
func (e *Engine) exec(ctx context.Context, l *life, to target, x spec.Exec, capture int) error {
	if x.Privileged {
		e.noteMountsChange(l)
	}
	b := e.named(l.rec.blueprint())
	process, err := container.Resolve(b, l.rec.Image)
	if err != nil {
		return err
	}
	procs, err := e.group(l).Procs()
	if err != nil {
		return err
	}
	defer container.CloseFiles(procs)
	start, err := container.PrepareExec(container.ExecInputs{
		Exec: x, Blueprint: b, Process: process, PID: to.pid, Cgroups: procs}, e.confiner)
	if err != nil {
		return err
	}
	defer start.Close()
	// What was opened by number belongs to the container only if its process
	// still has that number.
	if to.pidfd == nil || unix.PidfdSendSignal(int(to.pidfd.Fd()), 0, nil, 0) != nil {
		return spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	l.starts.RLock()
	defer l.starts.RUnlock()
	if l.status().State == spec.StatePaused {
		return pausedError(l)
	}
	ctx, cancel := lingering(ctx, startPatience)
	defer cancel()
	fault.Point("exec:begin")
	_, err = to.monitor.Exec(ctx, wire.MonitorExecRequest{
		Recipe: start.Recipe, Stdin: x.Stdin, CaptureLimit: max(capture, 0), Detach: capture < 0,
	}, start.Files)
	fault.Point("exec:started")
	return commandError(err)
}

func pausedError(l *life) error {
	return spec.Errorf(spec.ErrNotRunning, "container %s is paused, unpause the container before exec", l.name())
}

// startPatience is how long a start that nobody wants any more is waited for: a
// frozen container could hold it up for ever.
const startPatience = 10 * time.Second

// lingering is a context that ends some time after ctx has ended.
func lingering(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(after):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { unwatch(); cancel() }
}

// target returns the running container for one exec; close frees it.
func (e *Engine) target(l *life) (to target, close func(), err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, _ := l.look()
	if c.Status.State == spec.StatePaused {
		return to, nil, pausedError(l)
	}
	if c.Status.State != spec.StateRunning || l.held.monitor == nil || l.held.pidfd == nil {
		return to, nil, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	pidfd, err := wire.Duplicate(l.held.pidfd)
	if err != nil {
		return to, nil, err
	}
	return target{l.held.monitor, l.held.pid, pidfd}, func() { pidfd.Close() }, nil
}

// monitorOf returns the monitor of a container that is up.
func (e *Engine) monitorOf(id string) (*life, *container.Monitor, error) {
	l, err := e.changeable(id)
	if err != nil {
		return nil, nil, err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.held.monitor == nil {
		return nil, nil, spec.Errorf(spec.ErrNotRunning, "container %s is not running", l.name())
	}
	return l, l.held.monitor, nil
}

// Exec starts a further process in a running container and returns its id, by
// which it is attached to, waited for, resized and signalled. Its output waits
// for an Attach.
func (e *Engine) Exec(ctx context.Context, x spec.Exec) (id string, err error) {
	return e.startExec(ctx, x, 0)
}

// ExecDetached is Exec for a process whose output nobody wants.
func (e *Engine) ExecDetached(ctx context.Context, x spec.Exec) (id string, err error) {
	return e.startExec(ctx, x, -1)
}

func (e *Engine) startExec(ctx context.Context, x spec.Exec, capture int) (id string, err error) {
	l, err := e.changeable(x.Container)
	if err != nil {
		return "", err
	}
	to, free, err := e.target(l)
	if err != nil {
		return "", err
	}
	defer free()
	if x.ID == "" {
		x.ID = newID()
	}
	line := strings.Join(x.Args, " ")
	e.tell(l, "exec_create: "+line, "execID", x.ID)
	if err := e.exec(ctx, l, to, x, capture); err != nil {
		return "", fmt.Errorf("cannot exec in %s: %w", l.name(), err)
	}
	e.tell(l, "exec_start: "+line, "execID", x.ID)
	e.goDo(func() {
		if x, err := to.monitor.WaitExec(e.ctx, x.ID); err == nil {
			e.tell(l, "exec_die", "execID", x.ID, "exitCode", strconv.Itoa(x.Code))
		}
	})
	return x.ID, nil
}

// Attach returns a stream to a container's stdio, or to that of one of its
// execs: see wire.MonitorAttach for what flows over it. CloseWrite ends stdin.
// from is how much of the stream has arrived already, nil if that is not known
// (of an exec) or if the reader is not the one that the container is begun for.
// A container may be attached to before its start: then prepare it by Ready.
func (e *Engine) Attach(ctx context.Context, id, exec string, stdin bool, from *int64) (*net.UnixConn, error) {
	_, m, err := e.monitorOf(id)
	if errors.Is(err, spec.ErrNotRunning) && exec == "" && from != nil {
		return e.attachPending(id, *from)
	}
	if err != nil {
		return nil, err
	}
	f, err := m.Attach(ctx, exec, stdin, from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot attach: %w", err)
	}
	return conn.(*net.UnixConn), nil // the monitor sends unix sockets only
}

// Ready starts the monitor of a container that is not up, so that Attach sees
// what the container writes from its first byte on.
func (e *Engine) Ready(id string) error {
	l, err := e.changeable(id)
	if err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if _, _, removed := l.look(); removed {
		return spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	}
	if c, _, _ := l.look(); l.held.monitor != nil || c.Status.State == spec.StateExited {
		return nil
	}
	return e.startMonitor(l)
}

// WaitExec waits for the end of an exec; its result is kept for a minute.
func (e *Engine) WaitExec(ctx context.Context, id, exec string) (spec.ExecResult, error) {
	_, m, err := e.monitorOf(id)
	if err != nil {
		return spec.ExecResult{}, err
	}
	x, err := m.WaitExec(ctx, exec)
	fault.Point("exec:waited")
	return spec.ExecResult{ExitCode: x.Code, Reason: x.Reason}, err
}

// Resize sets the size of the pty of a container (exec "") or of an exec.
func (e *Engine) Resize(ctx context.Context, id, exec string, rows, columns uint16) error {
	_, m, err := e.monitorOf(id)
	if err != nil {
		return err
	}
	return m.Resize(ctx, exec, rows, columns)
}

// SignalExec sends a signal to an exec.
func (e *Engine) SignalExec(ctx context.Context, id, exec, signal string) error {
	n, err := container.Signal(signal)
	if err != nil {
		return err
	}
	_, m, err := e.monitorOf(id)
	if err != nil {
		return err
	}
	return m.Signal(ctx, exec, n)
}

// maxExecLine bounds a line of ExecLines, in bytes; a longer one comes in pieces.
const maxExecLine = 64 << 10

// ExecLines runs a further process to its end and tells what it writes to
// stdout and stderr, line by line.
func (e *Engine) ExecLines(ctx context.Context, x spec.Exec, output func(line string)) (spec.ExecResult, error) {
	id, err := e.Exec(ctx, x)
	if err != nil {
		return spec.ExecResult{}, err
	}
	conn, err := e.Attach(ctx, x.Container, id, false, nil)
	if err != nil {
		return spec.ExecResult{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := tellLines(conn, output); err != nil && ctx.Err() == nil {
		return spec.ExecResult{}, fmt.Errorf("cannot read what an exec writes: %w", err)
	}
	return e.WaitExec(ctx, x.Container, id)
}

// tellLines reads the frames of an attached process until its end.
func tellLines(from io.Reader, output func(line string)) error {
	var begun [3][]byte // lines without an end, by stream
	var header [8]byte
	for {
		if _, err := io.ReadFull(from, header[:]); err != nil {
			for _, rest := range begun {
				if len(rest) > 0 {
					output(string(rest))
				}
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		data := make([]byte, binary.BigEndian.Uint32(header[4:]))
		if _, err := io.ReadFull(from, data); err != nil {
			return err
		}
		stream := min(int(header[0]), len(begun)-1)
		line := append(begun[stream], data...)
		for {
			at := bytes.IndexByte(line, '\n')
			if at < 0 {
				break
			}
			output(string(line[:at]))
			line = line[at+1:]
		}
		if len(line) > maxExecLine {
			output(string(line))
			line = nil
		}
		begun[stream] = line
	}
}
