package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// patience only guards against hanging.
const patience = time.Minute

// actorFake is a machine with containers in memory: id → target → content.
type actorFake struct {
	mu         sync.Mutex
	containers map[string]map[string]string
	puts       int      // files that were written
	acts       []string // restarts, rebuilds and execs, in order
	refuse     error    // of SyncFiles
	stopped    bool     // what lies below /memory is not there
	build      func(ctx context.Context) error
}

func newActor(ids ...string) *actorFake {
	a := &actorFake{containers: map[string]map[string]string{}}
	for _, id := range ids {
		a.containers[id] = map[string]string{}
	}
	return a
}

func (a *actorFake) Replicas(context.Context, string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.containers)), nil
}

func (a *actorFake) SyncFiles(_ context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	files, ok := a.containers[id]
	if !ok {
		return nil, spec.Errorf(spec.ErrNotFound, "no container %s", id)
	}
	if a.refuse != nil {
		return nil, a.refuse
	}
	out := make([]spec.FileResult, len(changes))
	for i, c := range changes {
		if out[i].Volatile = strings.HasPrefix(c.Target, "/memory/"); out[i].Volatile && a.stopped {
			out[i].Later = true
			continue
		}
		if c.Remove {
			_, out[i].Changed = files[c.Target]
			delete(files, c.Target)
			continue
		}
		path := filepath.Join(c.Root, c.Path)
		info, err := os.Lstat(path)
		if err != nil {
			out[i].Gone = true
			continue
		}
		content := "folder"
		if info.Mode()&os.ModeSymlink != 0 {
			leads, _ := os.Readlink(path)
			content = "-> " + leads
		} else if !info.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				out[i].Gone = true
				continue
			}
			content = string(data)
			if files[c.Target] != content {
				a.puts++
			}
		}
		files[c.Target], out[i].Changed = content, true
	}
	return out, nil
}

func (a *actorFake) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acts = append(a.acts, what)
}

func (a *actorFake) Restart(_ context.Context, service string) error {
	a.note("restart " + service)
	return nil
}

func (a *actorFake) Rebuild(ctx context.Context, service string) error {
	a.note("rebuild " + service)
	if a.build != nil {
		return a.build(ctx)
	}
	return nil
}

func (a *actorFake) Exec(_ context.Context, service string, hook model.Hook, output func(string)) error {
	a.note("exec " + service + " " + strings.Join(hook.Command, " "))
	output("done")
	return nil
}

// stand is a project folder, its rules and a machine.
type stand struct {
	t      *testing.T
	dir    string
	rules  []model.WatchRule
	actor  *actorFake
	ledger *Ledger // as it was kept last

	mu      sync.Mutex
	told    []event.Watch
	session *Session
	before  func(*Session) // it runs
	stop    func()
}

func newStand(t *testing.T, rules ...model.WatchRule) *stand {
	s := &stand{t: t, dir: t.TempDir(), rules: rules, actor: newActor("c1"), ledger: NewLedger()}
	for i := range s.rules {
		s.rules[i].Path = filepath.Join(s.dir, s.rules[i].Path)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// start watches until the returned stop, or the test's end.
func (s *stand) start() {
	s.t.Helper()
	p := &model.Project{Name: "p", Services: map[string]model.Service{"web": {Name: "web", Watch: s.rules}}}
	rules, warnings, err := Rules(p, nil)
	if err != nil || len(warnings) > 0 {
		s.t.Fatal(err, warnings)
	}
	s.session, err = New(Config{
		Rules: rules, Ledger: s.ledger.clone(), Actor: s.actor, Log: slog.New(slog.DiscardHandler),
		Save: func(l *Ledger) error { s.ledger = l; return nil },
		Tell: func(e event.Watch) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told = append(s.told, e)
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.before != nil {
		s.before(s.session)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.session.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
	if err := s.session.Ready(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stand) write(name, content string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// files are those of a container, folders left out.
func (s *stand) files(id string) string {
	s.actor.mu.Lock()
	defer s.actor.mu.Unlock()
	var out []string
	for _, target := range slices.Sorted(maps.Keys(s.actor.containers[id])) {
		if content := s.actor.containers[id][target]; content != "folder" {
			out = append(out, target+"="+content)
		}
	}
	return strings.Join(out, " ")
}

func (s *stand) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("never: %s; c1 has %q, acts %q, told %+v", what, s.files("c1"), s.actor.acts, s.told)
		}
	}
}

// has waits until a container has just these files.
func (s *stand) has(id, want string) {
	s.t.Helper()
	s.eventually(id+" has "+want, func() bool { return s.files(id) == want })
}

func (s *stand) acts() string {
	s.actor.mu.Lock()
	defer s.actor.mu.Unlock()
	return strings.Join(s.actor.acts, ", ")
}

func (s *stand) tells(text string) {
	s.t.Helper()
	s.eventually("it tells "+text, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.told, func(e event.Watch) bool { return strings.Contains(e.Text, text) })
	})
}

func syncRule(more ...func(*model.WatchRule)) model.WatchRule {
	r := model.WatchRule{Path: "src", Action: Sync, Target: "/app"}
	for _, f := range more {
		f(&r)
	}
	return r
}

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
