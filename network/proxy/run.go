package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is one place that is copied to a container.
type Entry struct {
	// ID names it for Remove.
	ID string
	// Listener is a bound TCP socket, which the proxy makes listen, or a UDP
	// socket. The proxy owns it from here on.
	Listener *os.File
	Target   Target
	// Hold is how long a connection waits for Drain before it is connected to
	// Target; zero does not wait.
	Hold time.Duration
}

// Target is a container's address and port. Not netip's type: that would weigh
// 30 KB in the small program.
type Target struct {
	Addr [4]byte
	// Addr6 is taken in place of Addr unless it is zero.
	Addr6 [16]byte
	Port  uint16
}

func (t Target) is6() bool { return t.Addr6 != [16]byte{} }

// domain and sockaddr are what socket(2) and connect(2) want.
func (t Target) domain() int {
	if t.is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (t Target) sockaddr() unix.Sockaddr {
	if t.is6() {
		return &unix.SockaddrInet6{Addr: t.Addr6, Port: int(t.Port)}
	}
	return &unix.SockaddrInet4{Addr: t.Addr, Port: int(t.Port)}
}

func (t Target) String() string {
	if t.is6() {
		return fmt.Sprintf("[%x]:%d", t.Addr6, t.Port)
	}
	return fmt.Sprintf("%d.%d.%d.%d:%d", t.Addr[0], t.Addr[1], t.Addr[2], t.Addr[3], t.Port)
}

// Move gives an entry that listens another id, target and hold. Its socket
// listens on, and who waits goes on waiting, for the new target. A hold of zero
// lets them through; another id ends what was connected to the old target.
type Move struct {
	From, ID string
	Target   Target
	Hold     time.Duration
}

// Change alters the table: first Remove and Drain, then Move, then Add. An entry
// whose id is there already takes its place.
type Change struct {
	Add    []Entry
	Remove []string
	// Drain takes entries out of the table, and leaves what they have accepted,
	// or the kernel for them, to end by itself. Remove of such an id ends that.
	Drain []string
	Move  []Move
	// Done, if not nil, is called once the change is in force, with what
	// went wrong by id; those ids are not in the table.
	Done func(failed map[string]error)
}

// Changes is the daemon's side, on the connection that the program keeps.
type Changes interface {
	// Next waits for the next change. io.EOF says that none will come.
	Next() (Change, error)
	// Wake makes a waiting Next return a change of nothing.
	Wake()
	// Close makes a waiting Next return.
	Close() error
}

// Report is told what goes wrong with single entries; the proxy goes on.
type Report func(id string, err error)

// Run works on the table until it has become empty, and closes changes. When
// no more changes can come, it goes on with the table it has.
func Run(changes Changes, report Report) error {
	t := &table{report: report, wake: changes.Wake, entries: map[string]worker{}, drained: map[string][]*listener{}}
	for {
		c, err := changes.Next()
		if errors.Is(err, io.EOF) {
			t.last.Store(true)
			t.wait()
			return changes.Close()
		}
		if err != nil {
			t.apply(Change{Remove: t.ids()})
			return errors.Join(fmt.Errorf("cannot read changes of the proxy: %w", err), changes.Close())
		}
		t.apply(c)
		if t.idle() {
			return changes.Close()
		}
	}
}

// worker is one entry at work.
type worker interface {
	serve(Report)
	stop()
}

// table holds what is listened on. Only the goroutine of Run changes it.
type table struct {
	report  Report
	wake    func()
	entries map[string]worker
	// drained are those that accept no more, until their connections have ended.
	drained map[string][]*listener
	running sync.WaitGroup
	last    atomic.Bool // no more changes can come
}

// idle reports whether nothing is listened on and no drained connection is left.
func (t *table) idle() bool {
	for id, all := range t.drained {
		left := 0
		for _, l := range all {
			left += int(l.left.Load())
		}
		if left == 0 {
			delete(t.drained, id)
		}
	}
	return len(t.entries)+len(t.drained) == 0
}

func (t *table) apply(c Change) {
	failed := map[string]error{}
	for _, id := range c.Remove {
		t.remove(id)
	}
	for _, id := range c.Drain {
		t.drain(id)
	}
	for _, m := range c.Move {
		if err := t.move(m); err != nil {
			failed[m.ID] = err
			t.report(m.ID, err)
		}
	}
	for _, e := range c.Add {
		t.end(e.ID)
		w, err := begin(e)
		if err != nil {
			e.Listener.Close()
			failed[e.ID] = err
			t.report(e.ID, err)
			continue
		}
		t.entries[e.ID] = w
		t.running.Go(func() {
			w.serve(t.report)
			if l, ok := w.(*listener); ok && l.drained.Load() && !t.last.Load() {
				t.wake()
			}
		})
	}
	if c.Done != nil {
		c.Done(failed)
	}
}

// end takes an entry out of the table.
func (t *table) end(id string) {
	if w, ok := t.entries[id]; ok {
		w.stop()
		delete(t.entries, id)
	}
}

// remove is end, also of what was drained of that id.
func (t *table) remove(id string) {
	t.end(id)
	for _, l := range t.drained[id] {
		l.stop()
	}
	delete(t.drained, id)
}

// drain of what is no listener ends it.
func (t *table) drain(id string) {
	l, ok := t.entries[id].(*listener)
	if !ok {
		t.end(id)
		return
	}
	delete(t.entries, id)
	l.drain(t.report)
	t.drained[id] = append(t.drained[id], l)
}

// move is for entries of TCP.
func (t *table) move(m Move) error {
	l, ok := t.entries[m.From].(*listener)
	if !ok {
		return fmt.Errorf("cannot move %s: it is not there", m.From)
	}
	delete(t.entries, m.From)
	t.end(m.ID)
	t.entries[m.ID] = l
	l.move(m)
	return nil
}

func (t *table) ids() []string {
	var ids []string
	for id := range t.entries {
		ids = append(ids, id)
	}
	for id := range t.drained {
		ids = append(ids, id)
	}
	return ids
}

func (t *table) wait() { t.running.Wait() }
