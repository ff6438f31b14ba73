package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/wire"
)

// Starter starts what a recipe describes; spawn.Spawner is one.
type Starter interface {
	Start(r *recipe.Recipe, files []*os.File, stdio spawn.Stdio) (*spawn.Process, error)
}

// Config is what a monitor is made of.
type Config struct {
	ID      string // of the container
	Starter Starter
	// EnsureKeeper is called, with back-off, while no daemon is connected.
	EnsureKeeper func(context.Context) error
	// Relisten is called before that. It returns a further listener if the name
	// of the one before is gone, because somebody has emptied the run folder. Nil:
	// there is no folder.
	Relisten func() (*wire.Listener, error)
	BootID   string
	// Idle is how long a monitor without container and daemon lives.
	Idle time.Duration
	// OOMScoreAdj is what a process gets whose recipe names none: not the
	// monitor's own low one. Nil: as the monitor's.
	OOMScoreAdj *int
	// Logf takes what went wrong and has nobody to be told to.
	Logf func(format string, args ...any)
}

// Monitor is a running monitor.
type Monitor struct {
	Config
	children *children
	clients  *broadcast // of the container
	blocks   blocks
	quit     chan struct{}
	working  sync.WaitGroup // processes, clients, timers
	startMu  sync.Mutex     // one start at a time
	execMu   sync.RWMutex   // read by execs that are begun, see shutExecs

	mu      sync.Mutex // guards what follows
	run     *run       // of the container: current or last; nil before
	front   *output    // of the container, for the reader that it is begun for; or nil
	log     *logs.Writer
	logTo   wire.MonitorLog
	execs   map[string]*exec
	streams map[*client]bool // all attached clients
	daemon  *wire.Peer
	// daemonDone is closed when the connection of daemon has been served.
	daemonDone chan struct{}
	changed    chan struct{} // closed and made anew when daemon or run change
	quitting   bool
}

// New makes a monitor; Serve runs it.
func New(cfg Config) *Monitor {
	return &Monitor{
		Config:   cfg,
		children: newChildren(),
		clients:  newBroadcast(),
		quit:     make(chan struct{}),
		execs:    map[string]*exec{},
		streams:  map[*client]bool{},
		changed:  make(chan struct{}),
	}
}

// Serve accepts daemons until quit, until it has been idle for long, or until
// ctx ends. It closes the listener.
func (m *Monitor) Serve(ctx context.Context, listener *wire.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer m.working.Wait()
	defer m.closeAll()
	defer cancel()

	var serving sync.WaitGroup
	defer serving.Wait()
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()

	serving.Go(func() { m.children.reapOrphans(ctx) })
	serving.Go(func() {
		m.tendKeeper(ctx, func(again *wire.Listener) {
			context.AfterFunc(ctx, func() { again.Close() })
			serving.Go(func() {
				if err := m.accept(ctx, again, &serving); err != nil {
					m.Logf("%v", err)
				}
			})
		})
	})
	serving.Go(func() {
		select {
		case <-m.quit:
		case <-ctx.Done():
		case <-m.idle(ctx):
		}
		cancel()
	})
	return m.accept(ctx, listener, &serving)
}

// accept accepts daemons until the listener is closed.
func (m *Monitor) accept(ctx context.Context, listener *wire.Listener, serving *sync.WaitGroup) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("monitor %.12s: %w", m.ID, err)
		}
		serving.Go(func() { m.serveDaemon(ctx, conn) })
	}
}

// predecessorTime is how long a connection that still stands may keep the next
// one waiting.
const predecessorTime = time.Second

// serveDaemon serves one connection; the last one is the daemon.
func (m *Monitor) serveDaemon(ctx context.Context, conn *wire.Conn) {
	peer := wire.NewPeer(conn, m.handle)
	m.mu.Lock()
	old, oldDone, done := m.daemon, m.daemonDone, make(chan struct{})
	m.daemon, m.daemonDone = peer, done
	m.change()
	m.mu.Unlock()
	defer close(done)
	if old != nil {
		// What a killed daemon has asked for still lies in its connection:
		// a start among it has to be seen by the status that this one
		// asks for.
		select {
		case <-oldDone:
		case <-time.After(predecessorTime):
		}
		old.Close()
	}
	if err := peer.Serve(ctx); err != nil {
		m.Logf("connection of the daemon: %v", err)
	}
	peer.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.daemon == peer {
		m.daemon = nil
		m.change()
	}
}

// change wakes who waits for a change; m.mu is held.
func (m *Monitor) change() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Monitor) handle(ctx context.Context, r *wire.Request) (wire.Reply, error) {
	switch r.Kind {
	case wire.MonitorStart:
		return decoded(r, m.start)
	case wire.MonitorExec:
		return decoded(r, m.exec)
	case wire.MonitorAttach:
		return decoded(r, m.attach)
	case wire.MonitorSignal:
		return decoded(r, m.signal)
	case wire.MonitorResize:
		return decoded(r, m.resize)
	case wire.MonitorWaitExec:
		return decoded(r, func(target wire.MonitorTarget, files []*os.File) (wire.Reply, error) {
			closeFiles(files)
			return m.waitExec(ctx, target)
		})
	case wire.MonitorStatus:
		closeFiles(r.Files)
		return m.status()
	case wire.MonitorQuit:
		closeFiles(r.Files)
		return m.askedToQuit()
	}
	closeFiles(r.Files)
	return wire.Reply{}, fmt.Errorf("monitor does not know the request %q", r.Kind)
}

// decoded calls f, which owns the files, with the decoded body.
func decoded[T any](r *wire.Request, f func(T, []*os.File) (wire.Reply, error)) (wire.Reply, error) {
	var in T
	if err := r.Decode(&in); err != nil {
		closeFiles(r.Files)
		return wire.Reply{}, err
	}
	return f(in, r.Files)
}

func (m *Monitor) askedToQuit() (wire.Reply, error) {
	// Not while a start is under way.
	m.startMu.Lock()
	defer m.startMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run.alive() {
		return wire.Reply{}, fmt.Errorf("monitor %.12s cannot quit: the container runs", m.ID)
	}
	if m.quitting {
		return wire.Reply{}, nil
	}
	m.quitting = true
	return wire.Reply{Sent: func() { close(m.quit) }}, nil
}

// idle is closed when there has been no container and no daemon for long.
func (m *Monitor) idle(ctx context.Context) <-chan struct{} {
	idle := make(chan struct{})
	m.working.Go(func() {
		for {
			m.mu.Lock()
			busy := m.run.alive() || m.daemon != nil
			changed := m.changed
			m.mu.Unlock()
			var over <-chan time.Time
			if !busy {
				over = time.After(m.Idle)
			}
			select {
			case <-changed:
			case <-over:
				close(idle)
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return idle
}

// closeAll lets go of everything once nothing is served any more.
func (m *Monitor) closeAll() {
	m.clients.finish()
	m.mu.Lock()
	run, log, execs := m.run, m.log, m.execs
	m.execs = nil
	if m.front != nil {
		m.front.end()
	}
	for c := range m.streams {
		c.hurry(time.Now().Add(time.Second))
	}
	m.mu.Unlock()
	for _, e := range execs {
		e.forget()
	}
	if run != nil {
		run.first.end()
		run.closeFiles()
	}
	if log != nil {
		if err := log.Close(); err != nil {
			m.Logf("%v", err)
		}
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
