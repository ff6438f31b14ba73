package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Entry is one place that is copied to a container.
type Entry struct {
	// ID names it for Remove.
	ID string
	// Listener is a bound TCP socket, which the proxy makes listen, or a UDP
	// socket on IPv6. The proxy owns it from here on.
	Listener *os.File
	Target   Target
}

// Target is a container's IPv4 address and port. Not netip's type: that would
// weigh 30 KB in the small program.
type Target struct {
	Addr [4]byte
	Port uint16
}

func (t Target) String() string {
	return fmt.Sprintf("%d.%d.%d.%d:%d", t.Addr[0], t.Addr[1], t.Addr[2], t.Addr[3], t.Port)
}

// Change alters the table: first Remove, then Add. An entry whose id is there
// already takes its place.
type Change struct {
	Add    []Entry
	Remove []string
	// Done, if not nil, is called once the change is in force, with what
	// went wrong by id; those ids are not in the table.
	Done func(failed map[string]error)
}

// Changes is the daemon's side, on the connection that the program keeps.
type Changes interface {
	// Next waits for the next change. io.EOF says that none will come.
	Next() (Change, error)
	// Close makes a waiting Next return.
	Close() error
}

// Report is told what goes wrong with single entries; the proxy goes on.
type Report func(id string, err error)

// Run works on the table until it has become empty, and closes changes. When
// no more changes can come, it goes on with the table it has.
func Run(changes Changes, report Report) error {
	t := &table{report: report, entries: map[string]worker{}}
	for {
		c, err := changes.Next()
		if errors.Is(err, io.EOF) {
			t.wait()
			return changes.Close()
		}
		if err != nil {
			t.apply(Change{Remove: t.ids()})
			return errors.Join(fmt.Errorf("cannot read changes of the proxy: %w", err), changes.Close())
		}
		t.apply(c)
		if len(t.entries) == 0 {
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
	entries map[string]worker
	running sync.WaitGroup
}

func (t *table) apply(c Change) {
	failed := map[string]error{}
	for _, id := range c.Remove {
		t.remove(id)
	}
	for _, e := range c.Add {
		t.remove(e.ID)
		w, err := begin(e)
		if err != nil {
			e.Listener.Close()
			failed[e.ID] = err
			t.report(e.ID, err)
			continue
		}
		t.entries[e.ID] = w
		t.running.Go(func() { w.serve(t.report) })
	}
	if c.Done != nil {
		c.Done(failed)
	}
}

func (t *table) remove(id string) {
	if l, ok := t.entries[id]; ok {
		l.stop()
		delete(t.entries, id)
	}
}

func (t *table) ids() []string {
	var ids []string
	for id := range t.entries {
		ids = append(ids, id)
	}
	return ids
}

func (t *table) wait() { t.running.Wait() }
