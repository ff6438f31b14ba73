package monitor

import (
	"fmt"
	"os"
	"time"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/wire"
)

// run is one run of the container.
type run struct {
	*process
	log       *logs.Writer // nil: nothing is kept
	clients   *broadcast
	front     func() *output // of the reader that it was begun for, or nil
	record    string         // path of the exit record
	oom       *os.File
	oomBefore int64
	// network is its network namespace; nil where that is the host's. Like the
	// daemon's it is the one that was given: what a process has is, until it has
	// joined its own, the host's. The mount namespace is not held but by its
	// processes: it ends with the last one, and its overlay with it, before the
	// next run's may be mounted over the same folders.
	network *os.File
	stay    bool // see wire.MonitorSignalRequest; guarded by Monitor.mu
	shut    bool // to execs, see shutExecs; guarded by Monitor.mu
	exit    *wire.MonitorExit
}

// alive reports whether the run has not been recorded yet; Monitor.mu is held.
func (r *run) alive() bool { return r != nil && r.exit == nil }

func (r *run) write(stream logs.Stream, at time.Time, data []byte) {
	if r.log != nil {
		// What cannot be written is counted there and noted later.
		_ = r.log.Write(stream, at, data)
	}
	r.clients.offer(stream, data)
	if front := r.front(); front != nil {
		front.write(stream, at, data)
	}
}

func (r *run) closeFiles() { closeFiles([]*os.File{r.network, r.oom}) }

func (m *Monitor) start(in wire.MonitorStartRequest, files []*os.File) (wire.Reply, error) {
	defer closeFiles(files)
	m.startMu.Lock()
	defer m.startMu.Unlock()
	if err := m.canStart(); err != nil {
		return wire.Reply{}, err
	}
	fault.Point("monitor:start")
	log, err := m.openLog(in.Log)
	if err != nil {
		return wire.Reply{}, err
	}
	r := &run{log: log, clients: m.clients, front: m.frontOutput, record: in.ExitRecord}
	if in.OOM != recipe.None {
		if r.oom, err = pick(files, in.OOM); err != nil {
			return wire.Reply{}, err
		}
		r.oomBefore = oomKills(r.oom)
	}
	network, err := pickOptional(files, in.Recipe.Namespaces.Network)
	if err != nil {
		closeFiles([]*os.File{r.oom})
		return wire.Reply{}, err
	}
	behind, err := m.initFor(&in.Recipe)
	if err == nil {
		r.process, err = m.launch(&in.Recipe, files, in.Stdin)
	}
	if err != nil {
		closeFiles([]*os.File{r.oom, network})
		return wire.Reply{}, err
	}
	if behind != nil {
		r.first = behind
	}
	r.id = m.ID
	r.network = network
	m.begin(r)
	fault.Point("monitor:started")
	return wire.Reply{Body: wire.MonitorStarted{PID: r.pid, StartedAt: r.startedAt.UnixNano(), Init: r.first != nil}}, nil
}

func (m *Monitor) canStart() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quitting {
		return fmt.Errorf("cannot start container %.12s: its monitor is leaving", m.ID)
	}
	if m.run.alive() {
		return fmt.Errorf("cannot start container %.12s: it runs", m.ID)
	}
	return nil
}

// begin makes a started run the monitor's, and sees it to its end.
func (m *Monitor) begin(r *run) {
	m.mu.Lock()
	if m.run != nil {
		m.run.closeFiles()
	}
	m.run = r
	m.clients.setFramed(r.terminal == nil)
	if m.front != nil {
		if m.front.hasEnded() {
			m.front = nil // it was of the run before
		} else {
			m.front.setFramed(r.terminal == nil)
		}
	}
	m.change()
	m.mu.Unlock()
	r.pump(r, &m.blocks)
	m.working.Go(func() { m.end(r) })
}

// end records and tells the end of a run.
func (m *Monitor) end(r *run) {
	exit, err := m.wait(r.process, func() {
		m.leaveInit(r)
		if front := m.frontOutput(); front != nil {
			front.hurry()
		}
	})
	if err != nil {
		m.Logf("%v", err)
	}
	if r.oom != nil && oomKills(r.oom) > r.oomBefore {
		exit.OOM = true
		if exit.Code != 0 {
			exit.Reason = "out of memory"
		}
	}
	fault.Point("monitor:ended")
	// On disk before anybody hears of it: a daemon that starts now finds it.
	if err := writeRecord(r.record, exit); err != nil {
		m.Logf("%v", err)
	}
	if r.log != nil {
		_ = r.log.Flush() // a failure stays counted
	}
	m.mu.Lock()
	r.exit = &exit
	m.clients.finish()
	if m.front != nil {
		m.front.end()
	}
	daemon := m.daemon
	m.change()
	m.mu.Unlock()
	fault.Point("monitor:recorded")
	r.close()
	if daemon != nil {
		// A failure means that it has gone: the next one asks for status.
		_ = daemon.Notify(wire.MonitorExited, exit)
	}
}

// openLog returns the writer for a log, the same as long as it is the same log.
func (m *Monitor) openLog(to wire.MonitorLog) (*logs.Writer, error) {
	m.mu.Lock()
	log, before := m.log, m.logTo
	m.mu.Unlock()
	if log != nil && before == to {
		log.NewRun()
		return log, nil
	}
	if log != nil {
		if err := log.Close(); err != nil {
			m.Logf("%v", err)
		}
		log = nil
	}
	if to.Dir != "" {
		var err error
		log, err = logs.Open(logs.Options{Dir: to.Dir, MaxSize: to.MaxSize, MaxFiles: to.MaxFiles})
		if log == nil {
			return nil, err
		}
		if err != nil {
			m.Logf("%v", err) // it counts what is lost and tries again
		}
	}
	m.mu.Lock()
	m.log, m.logTo = log, to
	m.mu.Unlock()
	return log, nil
}

// pick duplicates the file at an index of a request.
func pick(files []*os.File, index recipe.File) (*os.File, error) {
	if index < 0 || int(index) >= len(files) {
		return nil, fmt.Errorf("cannot start: descriptor %d of %d is asked for", index, len(files))
	}
	return wire.Duplicate(files[index])
}

func pickOptional(files []*os.File, index recipe.File) (*os.File, error) {
	if index == recipe.None {
		return nil, nil
	}
	return pick(files, index)
}

// frontOutput is where the reader reads that the container was begun for.
func (m *Monitor) frontOutput() *output {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.front
}

func (m *Monitor) status() (wire.Reply, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quitting {
		// Nobody shall take it for one that can be used.
		return wire.Reply{}, fmt.Errorf("monitor %.12s is leaving", m.ID)
	}
	answer := wire.MonitorStatusAnswer{ID: m.ID}
	for id := range m.execs {
		answer.Execs = append(answer.Execs, id)
	}
	if m.run == nil {
		return wire.Reply{Body: answer}, nil
	}
	answer.PID = m.run.pid
	answer.StartedAt = m.run.startedAt.UnixNano()
	answer.Exit = m.run.exit
	answer.Running, answer.Init = m.run.alive(), m.run.first != nil
	if m.front != nil {
		answer.Written = m.front.written()
	}
	var files []*os.File
	if m.run.network != nil {
		file, err := wire.Duplicate(m.run.network)
		if err != nil {
			return wire.Reply{}, err
		}
		files = append(files, file)
		if answer.Running {
			if file, err = wire.Duplicate(m.run.pidfd); err != nil {
				closeFiles(files)
				return wire.Reply{}, err
			}
			files = append(files, file)
		}
	}
	return wire.Reply{Body: answer, Files: files}, nil
}
