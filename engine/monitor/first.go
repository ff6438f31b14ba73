package monitor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/wire"
)

// first is the init of a container, process 1 of its pid namespace. The program
// runs beside it as a child of ours. All in the namespace ends with the init.
//
//	program ends ─▶ init killed ─▶ all gone ─▶ recorded
//	      └─ stay ─▶ the others killed ─▶ recorded ─▶ next program, behind the same
//	                                         └─ any other start, quit ─▶ init killed
type first struct {
	pidfd *os.File
	ended chan struct{} // closed when it and all of its namespace are gone
}

// follow waits for an init's end; nil for none.
func (m *Monitor) follow(p *spawn.Process) *first {
	if p == nil {
		return nil
	}
	m.children.add(p.PID)
	f := &first{pidfd: p.PIDFD, ended: make(chan struct{})}
	m.working.Go(func() {
		defer close(f.ended)
		if _, err := m.children.wait(p.PID, p.PIDFD); err != nil {
			m.Logf("%v", err)
		}
	})
	return f
}

// end ends the init with its namespace and waits for that. It may be called again,
// and on nil.
func (f *first) end() {
	if f == nil {
		return
	}
	_ = sendSignal(f.pidfd, int(unix.SIGKILL)) // fails if it has ended
	<-f.ended
	f.pidfd.Close()
}

func (f *first) isGone() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// leaveInit ends the pid namespace of a run whose program has ended, or, if the run
// is to leave it to the next one, all that is in it beside the init.
func (m *Monitor) leaveInit(r *run) {
	if r.first == nil {
		return
	}
	m.mu.Lock()
	stay := r.stay
	m.mu.Unlock()
	if stay && !r.first.isGone() {
		m.shutExecs(r)
		m.children.hold()
		err := spawn.EndOthers(r.first.pidfd)
		m.children.release()
		if err == nil {
			fault.Point("monitor:left")
			return
		}
		m.Logf("%v", err)
	}
	r.first.end()
}

// shutExecs refuses further execs in a run, and returns once those that were begun
// are processes.
func (m *Monitor) shutExecs(r *run) {
	m.execMu.Lock()
	defer m.execMu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	r.shut = true
}

// setStay takes in whether the container's init is to stay.
func (m *Monitor) setStay(in wire.MonitorSignalRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if in.Exec == "" && m.run != nil {
		m.run.stay = in.Stay
	}
}

// initFor returns the init that the last run has left if the recipe joins its
// namespace, and ends it otherwise. startMu is held.
func (m *Monitor) initFor(r *recipe.Recipe) (*first, error) {
	m.mu.Lock()
	last := m.run
	m.mu.Unlock()
	joins := r.Kind == recipe.KindAgain && !r.Namespaces.PID
	switch {
	case last == nil && !joins:
		return nil, nil
	case !joins:
		last.first.end()
		return nil, nil
	case last == nil || last.first == nil || last.first.isGone():
		return nil, fmt.Errorf("cannot start container %.12s again: its init has ended", m.ID)
	}
	return last.first, nil
}
