package watch

import (
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// After a suspend everything is looked at: nobody may have told of what changed.
func TestASuspendIsRepaired(t *testing.T) {
	s := newStand(t, syncRule())
	s.write("src/gone", "0")
	var deaf atomic.Bool
	var lost, asleep atomic.Int64
	s.before = func(session *Session) {
		session.watcher.notifier.hear = func(notices []notice) []notice {
			if !deaf.Load() {
				return notices
			}
			lost.Add(int64(len(notices)))
			return nil
		}
		session.slept = func() time.Duration { return time.Duration(asleep.Load()) }
	}
	s.start()
	s.actor.containers["c1"]["/app/gone"] = "0"
	s.write("src/a", "1")
	s.has("c1", "/app/a=1 /app/gone=0")
	deaf.Store(true)
	s.write("src/a", "2")
	s.write("src/d/b", "1")
	s.must(os.Remove(s.path("src/gone")))
	s.eventually("the kernel has told of it", func() bool { return lost.Load() >= 3 })
	asleep.Store(int64(time.Hour))
	s.has("c1", "/app/a=2 /app/d/b=1")
}

// Where the kernel tells of nothing, folders are looked at, and it is said once.
func TestASilentFileSystemIsPolled(t *testing.T) {
	s := newStand(t, syncRule())
	s.write("src/d/a", "0")
	s.before = func(session *Session) {
		session.watcher.silent = func(string) string { return "nfs" }
	}
	s.start()
	s.tells("lies on nfs, where the kernel reports no changes")
	s.write("src/d/a", "1")
	s.write("src/e/b", "1")
	s.has("c1", "/app/d/a=1 /app/e/b=1")
	s.must(os.Remove(s.path("src/e/b")))
	s.has("c1", "/app/d/a=1")
	s.mu.Lock()
	defer s.mu.Unlock()
	notices := slices.DeleteFunc(slices.Clone(s.told), func(e event.Watch) bool { return e.Kind != event.WatchNotice })
	if len(notices) != 1 {
		t.Errorf("it is said %d times: %+v", len(notices), notices)
	}
	if status := s.session.Status(); status.Folders != 0 || status.Polled != 3 {
		t.Errorf("status %+v", status)
	}
}

func (a *actorFake) setStopped(stopped bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = stopped
	if stopped {
		for target := range a.containers["c1"] {
			if target[:7] == "/memory" {
				delete(a.containers["c1"], target)
			}
		}
	}
}

// What lies in a container's memory is put again after each start, and asked for
// seldom meanwhile.
func TestMemoryIsFilledAgainAfterAStart(t *testing.T) {
	s := newStand(t, model.WatchRule{Path: "src", Action: Sync, Target: "/memory", InitialSync: true})
	s.write("src/a", "0")
	s.start()
	s.has("c1", "/memory/a=0")
	for _, content := range []string{"1", "2"} {
		s.actor.setStopped(true)
		s.must(s.session.Prepare(t.Context(), "web", "c1"))
		s.write("src/b", content)
		s.eventually("it waits", func() bool { return len(s.session.Status().Waiting) == 1 })
		s.actor.setStopped(false)
		s.session.Started("web")
		s.has("c1", "/memory/a=0 /memory/b="+content)
	}
	s.eventually("nothing waits", func() bool { return len(s.session.Status().Waiting) == 0 })
}

// Files that cannot be put for now are tried again more and more seldom.
func TestRetriesBecomeRare(t *testing.T) {
	s := newStand(t, syncRule())
	s.actor.refuse = spec.Errorf(spec.ErrUnavailable, "container web is just ending")
	s.start()
	l := s.session.lanes["web"]
	pending := map[string]time.Time{"/f": time.Now()}
	var waits []time.Duration
	for range 8 {
		at := time.Now()
		waits = append(waits, l.again(t.Context(), pending, map[string]bool{"/f": true}, true).Sub(at))
	}
	if waits[0] >= retryMost || waits[7] < retryMost {
		t.Errorf("waits %v", waits)
	}
	l.started()
	if at := time.Now(); l.again(t.Context(), pending, map[string]bool{"/f": true}, true).Sub(at) >= retryMost {
		t.Error("a start does not begin anew")
	}
	l.again(t.Context(), pending, map[string]bool{"/f": true}, false) // nothing to wait for
	s.session.mu.Lock()
	clear(l.pending)
	s.session.mu.Unlock()
}
