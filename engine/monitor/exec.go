package monitor

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/wire"
)

// keepExec is how long the result of an exec is kept.
const keepExec = time.Minute

// exec is a further process in the container, and its result.
type exec struct {
	*process
	output  *output  // nil: captured or detached
	capture *capture // nil: not captured
	ended   chan struct{}
	exit    wire.MonitorExit // once ended is closed
}

// forget closes what waits for a reader.
func (e *exec) forget() {
	if e != nil && e.output != nil {
		e.output.forget()
	}
}

func (m *Monitor) exec(in wire.MonitorExecRequest, files []*os.File) (wire.Reply, error) {
	defer closeFiles(files)
	id := in.Recipe.ID
	for m.launches(id) {
		time.Sleep(time.Millisecond) // asked for again, see below
	}
	if e, err := m.findExec(id); err == nil {
		// Asked for again by a client whose daemon died before it answered.
		return wire.Reply{Body: wire.MonitorStarted{PID: e.pid, StartedAt: e.startedAt.UnixNano()}}, nil
	}
	m.execMu.RLock()
	defer m.execMu.RUnlock()
	if err := m.reserveExec(id); err != nil {
		return wire.Reply{}, err
	}
	e := &exec{ended: make(chan struct{})}
	var to sink
	switch {
	case in.CaptureLimit > 0:
		e.capture = newCapture(in.CaptureLimit)
		to = e.capture
	case in.Detach:
		to = discard{}
	default:
		e.output = newOutput(!in.Recipe.Process.Terminal)
		to = e.output
	}
	fault.Point("monitor:exec")
	p, err := m.launch(&in.Recipe, files, in.Stdin)
	if err != nil {
		m.mu.Lock()
		delete(m.execs, id)
		m.mu.Unlock()
		return wire.Reply{}, err
	}
	e.process = p
	p.pump(to, &m.blocks)
	m.mu.Lock()
	if m.execs != nil {
		m.execs[id] = e
	}
	m.mu.Unlock()
	m.working.Go(func() { m.endExec(e) })
	fault.Point("monitor:exec:started")
	return wire.Reply{Body: wire.MonitorStarted{PID: p.pid, StartedAt: p.startedAt.UnixNano()}}, nil
}

// launches reports whether an exec is being launched.
func (m *Monitor) launches(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, taken := m.execs[id]
	return taken && e == nil
}

// reserveExec refuses an id that is taken and an exec without container.
func (m *Monitor) reserveExec(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.execs[id]; taken || id == "" {
		return fmt.Errorf("cannot exec in %.12s: exec id %q is taken", m.ID, id)
	}
	if !m.run.alive() || m.run.shut || m.execs == nil {
		return fmt.Errorf("cannot exec in %.12s: the container does not run", m.ID)
	}
	m.execs[id] = nil
	return nil
}

func (m *Monitor) endExec(e *exec) {
	exit, err := m.wait(e.process, func() {
		if e.output != nil {
			e.output.hurry()
		}
	})
	if err != nil {
		m.Logf("%v", err)
	}
	fault.Point("monitor:exec:ended")
	if e.capture != nil {
		exit.Output = e.capture.bytes()
	}
	if e.output != nil {
		e.output.end()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.close()
	e.exit = exit
	close(e.ended)
	// Its last act; a monitor that ends before needs it no more.
	time.AfterFunc(keepExec, func() {
		m.mu.Lock()
		delete(m.execs, e.id)
		m.mu.Unlock()
		e.forget()
	})
}

// findExec returns an exec that has been started; m.mu is not held.
func (m *Monitor) findExec(id string) (*exec, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.execs[id]
	if e == nil {
		return nil, fmt.Errorf("container %.12s has no exec %q (any more)", m.ID, id)
	}
	return e, nil
}

func (m *Monitor) waitExec(ctx context.Context, target wire.MonitorTarget) (wire.Reply, error) {
	e, err := m.findExec(target.Exec)
	if err != nil {
		return wire.Reply{}, err
	}
	select {
	case <-e.ended:
		return wire.Reply{Body: e.exit}, nil
	case <-ctx.Done():
		return wire.Reply{}, ctx.Err()
	}
}

// find returns the running process of a target.
func (m *Monitor) find(target wire.MonitorTarget) (*process, error) {
	if target.Exec != "" {
		e, err := m.findExec(target.Exec)
		if err != nil {
			return nil, err
		}
		return e.process, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.run.alive() {
		return nil, fmt.Errorf("container %.12s does not run", m.ID)
	}
	return m.run.process, nil
}

func (m *Monitor) signal(in wire.MonitorSignalRequest, files []*os.File) (wire.Reply, error) {
	closeFiles(files)
	p, err := m.find(in.MonitorTarget)
	if err == nil {
		m.setStay(in)
		err = p.signal(in.Signal)
	}
	if err != nil {
		return wire.Reply{}, fmt.Errorf("cannot signal: %w", err)
	}
	return wire.Reply{}, nil
}

func (m *Monitor) resize(in wire.MonitorResizeRequest, files []*os.File) (wire.Reply, error) {
	closeFiles(files)
	p, err := m.find(in.MonitorTarget)
	if err == nil {
		err = p.resize(in.Rows, in.Columns)
	}
	if err != nil {
		return wire.Reply{}, fmt.Errorf("cannot resize: %w", err)
	}
	return wire.Reply{}, nil
}
