package watch

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
