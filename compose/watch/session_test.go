package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestChangesOfAllKindsArriveAndOthersDoNot(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.Ignore = []string{"*.log", "skip/"} }))
	s.write("src/old", "was here")
	s.start()
	s.write("src/a", "1")
	s.has("c1", "/app/a=1")
	s.write("src/x.log", "noise")
	s.write("src/skip/deep/y", "noise")
	s.write("src/deep/er/b", "2")
	s.has("c1", "/app/a=1 /app/deep/er/b=2")
	s.must(os.Symlink("nowhere", s.path("src/link")))
	s.has("c1", "/app/a=1 /app/deep/er/b=2 /app/link=-> nowhere")
	s.must(os.Link(s.path("src/a"), s.path("src/hard")))
	s.has("c1", "/app/a=1 /app/deep/er/b=2 /app/hard=1 /app/link=-> nowhere")
	s.must(os.Rename(s.path("src/deep"), s.path("src/moved")))
	s.must(os.Remove(s.path("src/link")))
	s.has("c1", "/app/a=1 /app/hard=1 /app/moved/er/b=2")
	s.write("src/moved/er/c", "3")
	s.has("c1", "/app/a=1 /app/hard=1 /app/moved/er/b=2 /app/moved/er/c=3")
	s.write("tmp", "4")
	s.must(os.Rename(s.path("tmp"), s.path("src/a"))) // an atomic save
	s.has("c1", "/app/a=4 /app/hard=1 /app/moved/er/b=2 /app/moved/er/c=3")
	s.must(os.RemoveAll(s.path("src/moved")))
	s.must(os.Chmod(s.path("src/hard"), 0o755))
	s.has("c1", "/app/a=4 /app/hard=1")
	s.eventually("no folder is left", func() bool {
		s.actor.mu.Lock()
		defer s.actor.mu.Unlock()
		_, there := s.actor.containers["c1"]["/app/moved"]
		return !there
	})
}

// A folder that is moved in with all that is in it syncs no ignored child.
func TestAFolderThatIsMovedInIsFilteredToo(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.Ignore = []string{"**/node_modules", "**/*.log"} }))
	s.write("pkg/a", "1")
	s.write("pkg/node_modules/m", "2")
	s.write("pkg/b.log", "3")
	s.start()
	s.must(os.Rename(s.path("pkg"), s.path("src/pkg")))
	s.has("c1", "/app/pkg/a=1")
	if n := s.session.Status().Folders; n != 2 {
		t.Errorf("%d folders are watched, want src and src/pkg", n)
	}
}

func TestASaveThatChangesNothingDoesNothing(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.Action = SyncRestart }))
	s.write("src/a", "same")
	s.start()
	for range 3 {
		s.write("src/a", "same")
		now := time.Now()
		s.must(os.Chtimes(s.path("src/a"), now, now))
	}
	s.write("src/last", "1")
	s.eventually("a restart", func() bool { return s.acts() != "" })
	s.eventually("the file", func() bool { return strings.Contains(s.files("c1"), "/app/last=1") })
	s.actor.mu.Lock()
	defer s.actor.mu.Unlock()
	if len(s.actor.acts) != 1 {
		t.Errorf("acts %q", s.actor.acts)
	}
}

// While nobody watches files change, a container is made anew and another one
// added; all of them get what they lack, and nothing else.
func TestWhatNobodySawIsRepaired(t *testing.T) {
	s := newStand(t, syncRule())
	s.write("src/untouched", "0")
	s.write("src/doomed", "0")
	s.start()
	s.write("src/a", "1")
	s.write("src/b", "1")
	s.has("c1", "/app/a=1 /app/b=1")
	s.stop()
	s.write("src/a", "2")
	s.must(os.Remove(s.path("src/b")))
	s.must(os.Remove(s.path("src/doomed")))
	s.write("src/new/c", "1")
	s.actor.containers["c1"]["/app/doomed"] = "0" // from the image
	s.actor.containers["c1"]["/app/own"] = "the container's"
	s.actor.containers["c2"] = map[string]string{"/app/doomed": "0"}
	s.start()
	s.has("c1", "/app/a=2 /app/new/c=1 /app/own=the container's")
	s.has("c2", "/app/a=2 /app/new/c=1")
	s.actor.mu.Lock()
	delete(s.actor.containers, "c1")
	s.actor.containers["c3"] = map[string]string{"/app/doomed": "0"}
	s.actor.mu.Unlock()
	s.must(s.session.Prepare(t.Context(), "web", "c3"))
	if got := s.files("c3"); got != "/app/a=2 /app/new/c=1" {
		t.Errorf("before its start the new container has %q", got)
	}
}

// The daemon is killed at any moment: what was kept last may be old.
func TestAnOldLedgerLosesNoSave(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.Action = SyncRestart }))
	s.start()
	s.stop()
	old := s.ledger.clone()
	s.start()
	s.write("src/a", "1")
	s.has("c1", "/app/a=1")
	s.eventually("a restart", func() bool { return s.acts() == "restart web" })
	s.stop()
	s.ledger = old
	delete(s.actor.containers["c1"], "/app/a") // nor had it been put
	s.start()
	s.has("c1", "/app/a=1")
	s.eventually("the restart again", func() bool { return s.acts() == "restart web, restart web" })
}

func TestInitialSyncPutsEverything(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) { r.InitialSync, r.Ignore = true, []string{"x"} }))
	s.write("src/a", "1")
	s.write("src/d/b", "2")
	s.write("src/x", "3")
	s.actor = newActor()
	s.start()
	s.actor.mu.Lock()
	s.actor.containers["new"] = map[string]string{}
	s.actor.mu.Unlock()
	s.must(s.session.Prepare(t.Context(), "web", "new"))
	if got := s.files("new"); got != "/app/a=1 /app/d/b=2" {
		t.Errorf("before its start it has %q", got)
	}
}

func TestAnOverflowIsRepaired(t *testing.T) {
	s := newStand(t, syncRule())
	s.write("src/gone", "0")
	var lost atomic.Int64
	var over atomic.Bool
	s.before = func(session *Session) {
		session.watcher.notifier.hear = func(notices []notice) []notice {
			if over.Load() {
				return append(notices, notice{mask: unix.IN_Q_OVERFLOW})
			}
			lost.Add(int64(len(notices)))
			return nil
		}
	}
	s.start()
	s.actor.containers["c1"]["/app/gone"] = "0"
	s.write("src/d/a", "1")
	s.must(os.Remove(s.path("src/gone")))
	s.eventually("the kernel has told of it", func() bool { return lost.Load() >= 2 })
	over.Store(true)
	s.write("src/b", "2")
	s.has("c1", "/app/b=2 /app/d/a=1")
	s.write("src/d/c", "3")
	s.has("c1", "/app/b=2 /app/d/a=1 /app/d/c=3")
}

func TestTheRootMayComeAndGo(t *testing.T) {
	s := newStand(t, syncRule())
	s.write("src/a", "0")
	s.start()
	s.must(os.RemoveAll(s.path("src")))
	s.eventually("it is missed", func() bool { return s.session.Status().Folders == 0 })
	s.write("src/b", "1")
	s.has("c1", "/app/b=1")
	s.write("src/c", "2")
	s.has("c1", "/app/b=1 /app/c=2")
}

func TestASingleFileIsWatchedThroughItsReplacement(t *testing.T) {
	s := newStand(t, model.WatchRule{Path: "one.txt", Action: Sync, Target: "/etc/two.txt"}, model.WatchRule{Path: "src/req", Action: Rebuild})
	s.write("one.txt", "0")
	s.write("src/req", "0")
	s.start()
	for i := range 3 {
		s.write("other", "x")
		s.write("tmp", fmt.Sprint(i+1))
		s.must(os.Rename(s.path("tmp"), s.path("one.txt")))
		s.has("c1", fmt.Sprintf("/etc/two.txt=%d", i+1))
	}
	s.write("src/other", "1")
	s.write("src/req", "1")
	s.eventually("a rebuild", func() bool { return s.acts() == "rebuild web" })
}

func TestAPausedSessionDoesItLater(t *testing.T) {
	s := newStand(t, syncRule(func(r *model.WatchRule) {
		r.Action, r.Exec = SyncExec, &model.Hook{Command: []string{"reload", "it"}}
	}))
	s.start()
	s.session.Pause()
	s.write("src/a", "1")
	s.eventually("it is noted", func() bool { return slices.Equal(s.session.Status().Waiting, []string{"web"}) })
	if s.files("c1") != "" || s.acts() != "" {
		t.Errorf("a paused session put %q and did %q", s.files("c1"), s.acts())
	}
	s.session.Resume()
	s.has("c1", "/app/a=1")
	s.eventually("the exec", func() bool { return s.acts() == "exec web reload it" })
	s.tells("done")
}

func TestSyncsGoOnDuringARebuildAndANewerSaveCancelsIt(t *testing.T) {
	s := newStand(t, syncRule(), model.WatchRule{Path: "req", Action: Rebuild})
	s.write("req", "0")
	running, outcome := make(chan struct{}, 2), make(chan error)
	s.actor.build = func(ctx context.Context) error {
		running <- struct{}{}
		select {
		case err := <-outcome:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.start()
	s.write("req", "1")
	<-running
	s.write("src/a", "1")
	s.has("c1", "/app/a=1")
	s.write("req", "2")
	s.tells("canceled by a newer save")
	<-running
	outcome <- errors.New("no such instruction")
	s.tells("no such instruction")
	s.write("src/b", "2")
	s.has("c1", "/app/a=1 /app/b=2")
}

func TestWhatCannotBePutIsPutWithTheNextSave(t *testing.T) {
	s := newStand(t, syncRule())
	s.start()
	s.actor.mu.Lock()
	s.actor.refuse = spec.Errorf(spec.ErrUnavailable, "container web is just ending")
	s.actor.mu.Unlock()
	s.write("src/a", "1")
	s.eventually("it waits", func() bool { return len(s.session.Status().Waiting) == 1 })
	s.actor.mu.Lock()
	s.actor.refuse = errors.New("no space left")
	s.actor.mu.Unlock()
	s.write("src/b", "1")
	s.tells("no space left")
	s.actor.mu.Lock()
	s.actor.refuse = nil
	s.actor.mu.Unlock()
	s.write("src/c", "1")
	s.has("c1", "/app/a=1 /app/b=1 /app/c=1")
}

// Without inotify watches folders are polled, and it is said once.
func TestWithoutWatchesFoldersArePolled(t *testing.T) {
	s := newStand(t, syncRule())
	for i := range 5 {
		s.write(fmt.Sprintf("src/d%d/f", i), "0")
	}
	s.before = func(session *Session) {
		session.watcher.notifier.addWatch = func(fd int, path string, mask uint32) (int, error) {
			if session.watcher.notifier.byPath[path] == 0 && len(session.watcher.notifier.byPath) == 3 {
				return -1, unix.ENOSPC
			}
			return unix.InotifyAddWatch(fd, path, mask)
		}
	}
	s.start()
	s.tells("fs.inotify.max_user_watches")
	for i := range 5 {
		s.write(fmt.Sprintf("src/d%d/f", i), "1")
	}
	s.has("c1", "/app/d0/f=1 /app/d1/f=1 /app/d2/f=1 /app/d3/f=1 /app/d4/f=1")
	status := s.session.Status()
	if status.Folders != 3 || status.Polled != 3 {
		t.Errorf("status %+v", status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	notices := 0
	for _, e := range s.told {
		if e.Kind == event.WatchNotice {
			notices++
		}
	}
	if notices != 1 {
		t.Errorf("it is said %d times", notices)
	}
}
