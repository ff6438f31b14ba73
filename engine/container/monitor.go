package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// Monitor is the connection to the monitor of one container. Its methods may
// be called by many goroutines.
type Monitor struct {
	id     string
	peer   *wire.Peer
	exited func(wire.MonitorExit)
	done   chan struct{} // closed when the connection has ended
	cancel context.CancelFunc
	once   sync.Once
}

// Connect dials the monitor of the container id. exited hears of each end of
// the container, in order; it must not block.
func Connect(place folder.Place, id string, exited func(wire.MonitorExit)) (*Monitor, error) {
	conn, err := wire.Dial(place.MonitorSocket(id))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the monitor of %s: %w", short(id), err)
	}
	return newMonitor(place, id, conn, exited), nil
}

func newMonitor(place folder.Place, id string, conn *wire.Conn, exited func(wire.MonitorExit)) *Monitor {
	m := &Monitor{id: id, exited: exited, done: make(chan struct{})}
	m.peer = wire.NewPeer(conn, m.handle)
	m.peer.Attend(func() int { return wire.FindRole(place, wire.RoleMonitor, short(id)) })
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() { // Close waits for it
		defer close(m.done)
		// How the connection ended does not matter: Done says that it has,
		// the machine says what became of the container.
		_ = m.peer.Serve(ctx)
	}()
	return m
}

func (m *Monitor) handle(_ context.Context, r *wire.Request) (wire.Reply, error) {
	for _, f := range r.Files {
		f.Close()
	}
	if r.Kind != wire.MonitorExited {
		return wire.Reply{}, fmt.Errorf("unknown request %q from a monitor", r.Kind)
	}
	var exit wire.MonitorExit
	if err := json.Unmarshal(r.Body, &exit); err != nil {
		return wire.Reply{}, err
	}
	m.exited(exit)
	return wire.Reply{}, nil
}

// Done is closed when the connection has ended.
func (m *Monitor) Done() <-chan struct{} { return m.done }

// Close ends the connection; monitor and container live on.
func (m *Monitor) Close() {
	m.once.Do(func() {
		m.cancel()
		m.peer.Close() // an error means that it had ended
		<-m.done
	})
}

// Start starts the container; it returns once the program has been executed.
func (m *Monitor) Start(ctx context.Context, r wire.MonitorStartRequest, files []*os.File) (wire.MonitorStarted, error) {
	var started wire.MonitorStarted
	err := m.call(ctx, wire.MonitorStart, r, &started, files...)
	return started, err
}

// Exec starts a further process in the running container.
func (m *Monitor) Exec(ctx context.Context, r wire.MonitorExecRequest, files []*os.File) (wire.MonitorStarted, error) {
	var started wire.MonitorStarted
	err := m.call(ctx, wire.MonitorExec, r, &started, files...)
	return started, err
}

// Attach returns a stream socket to the container (exec "") or to an exec; see
// wire.MonitorAttach for what flows over it, wire.MonitorAttachRequest for from.
func (m *Monitor) Attach(ctx context.Context, exec string, stdin bool, from *int64) (*os.File, error) {
	request := wire.MonitorAttachRequest{MonitorTarget: wire.MonitorTarget{Exec: exec}, Stdin: stdin, From: from}
	files, err := m.peer.Call(ctx, wire.MonitorAttach, request, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot attach to %s: %w", short(m.id), err)
	}
	if len(files) != 1 {
		CloseFiles(files)
		return nil, fmt.Errorf("cannot attach to %s: its monitor sent %d descriptors", short(m.id), len(files))
	}
	return files[0], nil
}

// SignalFirst sends a signal to the container's program; see
// wire.MonitorSignalRequest for stay.
func (m *Monitor) SignalFirst(ctx context.Context, signal int, stay bool) error {
	return m.call(ctx, wire.MonitorSignal, wire.MonitorSignalRequest{Signal: signal, Stay: stay}, nil)
}

// Signal sends a signal to an exec.
func (m *Monitor) Signal(ctx context.Context, exec string, signal int) error {
	return m.call(ctx, wire.MonitorSignal, wire.MonitorSignalRequest{
		MonitorTarget: wire.MonitorTarget{Exec: exec}, Signal: signal}, nil)
}

// Resize sets the size of a pty.
func (m *Monitor) Resize(ctx context.Context, exec string, rows, columns uint16) error {
	return m.call(ctx, wire.MonitorResize, wire.MonitorResizeRequest{
		MonitorTarget: wire.MonitorTarget{Exec: exec}, Rows: rows, Columns: columns}, nil)
}

// WaitExec waits for the end of an exec.
func (m *Monitor) WaitExec(ctx context.Context, exec string) (wire.MonitorExit, error) {
	var exit wire.MonitorExit
	err := m.call(ctx, wire.MonitorWaitExec, wire.MonitorTarget{Exec: exec}, &exit)
	return exit, err
}

// Status asks how the container is. netns is the network namespace that the
// monitor holds, if any; it is the caller's. The pidfd is closed.
func (m *Monitor) Status(ctx context.Context) (answer wire.MonitorStatusAnswer, netns *os.File, err error) {
	files, err := m.peer.Call(ctx, wire.MonitorStatus, struct{}{}, &answer)
	if err != nil {
		return answer, nil, fmt.Errorf("cannot ask the monitor of %s: %w", short(m.id), err)
	}
	if len(files) == 0 {
		return answer, nil, nil
	}
	CloseFiles(files[1:])
	return answer, files[0], nil
}

// Quit ends the monitor of a container that has ended and waits until its
// connection is gone.
func (m *Monitor) Quit(ctx context.Context) error {
	if err := m.call(ctx, wire.MonitorQuit, struct{}{}, nil); err != nil {
		return err
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Monitor) call(ctx context.Context, kind string, in, out any, files ...*os.File) error {
	back, err := m.peer.Call(ctx, kind, in, out, files...)
	CloseFiles(back)
	return err
}

// CloseFiles closes all that are not nil.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

func short(id string) string { return id[:min(12, len(id))] }
