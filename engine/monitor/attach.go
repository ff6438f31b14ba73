package monitor

import (
	"fmt"
	"io"
	"os"

	"github.com/mycompose/mycompose/engine/wire"
)

// attach makes a client for the container, running or about to be started, or
// for an exec.
func (m *Monitor) attach(in wire.MonitorAttachRequest, files []*os.File) (wire.Reply, error) {
	closeFiles(files)
	if in.Exec != "" {
		return m.attachExec(in)
	}
	if in.From != nil {
		return m.attachFront(in)
	}
	c, theirs, err := newClient(true)
	if err != nil {
		return wire.Reply{}, err
	}
	m.mu.Lock()
	if m.run.alive() {
		c.framed = m.run.terminal == nil
	}
	m.clients.add(c)
	m.streams[c] = true
	m.mu.Unlock()
	m.working.Go(c.write)
	m.working.Go(func() {
		if in.Stdin {
			to := m.awaitStdin(c)
			c.read(to, to.close)
		} else {
			c.read(io.Discard, func() {})
		}
		m.endStream(c)
	})
	return wire.Reply{Files: []*os.File{theirs}}, nil
}

// attachFront makes a client the one that the container is begun for: it misses
// nothing, the container waits for it, and it may come back.
func (m *Monitor) attachFront(in wire.MonitorAttachRequest) (wire.Reply, error) {
	c, theirs, err := newClient(true)
	if err != nil {
		return wire.Reply{}, err
	}
	m.mu.Lock()
	if m.front == nil {
		m.front = newOutput(true)
		if m.run.alive() {
			m.front.setFramed(m.run.terminal == nil)
		}
	}
	front := m.front
	m.streams[c] = true
	m.mu.Unlock()
	front.attach(c, in.From)
	m.working.Go(c.write)
	m.working.Go(func() {
		if in.Stdin {
			to := m.awaitStdin(c)
			c.read(to, to.close)
		} else {
			c.read(io.Discard, func() {})
		}
		if c.isDead() {
			front.detach(c)
		}
		m.endStream(c)
	})
	return wire.Reply{Files: []*os.File{theirs}}, nil
}

// awaitStdin returns the stdin of the running container, once it runs.
func (m *Monitor) awaitStdin(c *client) *input {
	for {
		m.mu.Lock()
		run, changed := m.run, m.changed
		m.mu.Unlock()
		if run.alive() {
			return run.stdin
		}
		select {
		case <-changed:
		case <-c.finished:
			return nil
		}
	}
}

func (m *Monitor) attachExec(in wire.MonitorAttachRequest) (wire.Reply, error) {
	e, err := m.findExec(in.Exec)
	if err != nil {
		return wire.Reply{}, err
	}
	if e.output == nil {
		return wire.Reply{}, fmt.Errorf("exec %q of container %.12s has no stream", in.Exec, m.ID)
	}
	c, theirs, err := newClient(e.output.framed)
	if err != nil {
		return wire.Reply{}, err
	}
	m.mu.Lock()
	m.streams[c] = true
	m.mu.Unlock()
	e.output.attach(c, in.From)
	m.working.Go(c.write)
	m.working.Go(func() {
		if in.Stdin {
			c.read(e.stdin, e.stdin.close)
		} else {
			c.read(io.Discard, func() {})
		}
		if c.isDead() {
			e.output.detach(c)
		}
		m.endStream(c)
	})
	return wire.Reply{Files: []*os.File{theirs}}, nil
}

// endStream forgets a client once all is written to it or it has gone.
func (m *Monitor) endStream(c *client) {
	<-c.finished
	m.clients.remove(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, c)
}
