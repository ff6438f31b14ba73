package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/watch"
	"github.com/mycompose/mycompose/engine/spec"
)

// watchMemory keeps what is watched in maps.
type watchMemory struct {
	mu       sync.Mutex
	watching map[string]Watching
	ledgers  map[string]*watch.Ledger
}

func (m *watchMemory) LoadWatching(project string) (Watching, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.watching[project]
	if !ok {
		return w, spec.Errorf(spec.ErrNotFound, "not watched")
	}
	return w, nil
}

func (m *watchMemory) SaveWatching(w Watching) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watching[w.Project] = w
	return nil
}

func (m *watchMemory) LoadLedger(project string) (*watch.Ledger, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.ledgers[project]; l != nil {
		return l, nil
	}
	return nil, spec.Errorf(spec.ErrNotFound, "not watched")
}

func (m *watchMemory) SaveLedger(project string, l *watch.Ledger) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledgers[project] = l
	return nil
}

func (m *watchMemory) DeleteWatching(project string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watching, project)
	delete(m.ledgers, project)
	return nil
}

func (m *watchMemory) ListWatching() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name := range m.watching {
		out = append(out, name)
	}
	return out, nil
}

// doer does operations at once, and notes them.
type doer struct {
	world *world
	mu    sync.Mutex
	done  []string
}

func (d *doer) Do(ctx context.Context, w Watching, kind Kind, request any, tell func(event.Event)) (event.Result, error) {
	d.mu.Lock()
	d.done = append(d.done, fmt.Sprintf("%s %s %v", kind, w.Origin, services(request)))
	n := len(d.done)
	d.mu.Unlock()
	op := Operation{ID: fmt.Sprintf("watch%d", n), Kind: kind, Project: w.Project, Request: request, StartedAt: time.Now()}
	return d.world.c.Do(ctx, op, tell), nil
}

func services(request any) []string {
	switch r := request.(type) {
	case RestartRequest:
		return r.Services
	case UpRequest:
		return r.Services
	}
	return nil
}

func (d *doer) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.done, "; ")
}

// followerFake notes who is followed.
type followerFake struct {
	mu       sync.Mutex
	followed []string
	ended    int
}

func (f *followerFake) Follow(ctx context.Context, w Watching, _ func(event.Watch)) error {
	f.mu.Lock()
	f.followed = append(f.followed, string(w.Origin))
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	return nil
}

// watchedWorld is a world with a folder whose files its service db syncs.
type watchedWorld struct {
	*world
	dir      string
	doer     *doer
	follower *followerFake
	end      func()
}

func newWatchedWorld(t *testing.T) *watchedWorld {
	w := &watchedWorld{world: newWorld(t), dir: t.TempDir(), follower: &followerFake{}}
	w.doer = &doer{world: w.world}
	w.open(&watchMemory{watching: map[string]Watching{}, ledgers: map[string]*watch.Ledger{}})
	return w
}

// open begins the life of a daemon.
func (w *watchedWorld) open(store WatchStore) {
	ctx, cancel := context.WithCancel(w.t.Context())
	watches := &Watches{Compose: w.c, Store: store, Operations: w.doer, Follower: w.follower, Log: w.c.Logger}
	w.c.Watches = watches
	if err := watches.Open(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.end = sync.OnceFunc(func() { cancel(); watches.Close() })
	w.t.Cleanup(w.end)
}

func (w *watchedWorld) shop(rules ...model.WatchRule) *model.Project {
	p := shop()
	s := p.Services["db"]
	s.Watch = rules
	p.Services["db"] = s
	return p
}

func (w *watchedWorld) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// db is the id of its container.
func (w *watchedWorld) db() string {
	w.t.Helper()
	list, err := w.fake.Containers(w.t.Context(), "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range list {
		if c.Blueprint.Name == "shop-db-1" {
			return c.Blueprint.ID
		}
	}
	return ""
}

func (w *watchedWorld) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s; files %v, done %s", what, w.fake.Files(w.db()), w.doer.all())
		}
	}
}

// acted counts how often an action has ended.
func (w *watchedWorld) acted(action string) int {
	w.t.Helper()
	return w.told(func(e event.Watch) bool { return e.Kind == event.WatchActed && e.Action == action })
}

// told counts events.
func (w *watchedWorld) told(wanted func(event.Watch) bool) int {
	w.t.Helper()
	news, err := w.c.Watches.News("shop")
	if err != nil {
		w.t.Fatal(err)
	}
	events, _ := news.From(1)
	return len(slices.DeleteFunc(events, func(e event.Watch) bool { return !wanted(e) }))
}

func (w *watchedWorld) has(target, want string) {
	w.t.Helper()
	w.eventually(target+" is "+want, func() bool { return w.fake.Files(w.db())[target] == want })
}

func TestAContainerHasItsFilesBeforeItStarts(t *testing.T) {
	w := newWatchedWorld(t)
	w.write("a", "1")
	p := w.shop(model.WatchRule{Path: w.dir, Target: "/app", Action: watch.Sync, InitialSync: true})
	w.must(Up, UpRequest{Project: p, Watch: &Watching{Project: "shop"}})
	order := map[string]int{}
	for i, call := range w.fake.Calls() {
		order[call.Operation+" "+call.Target] = i + 1
	}
	if sync, start := order["sync shop-db-1"], order["start shop-db-1"]; sync == 0 || sync > start {
		t.Errorf("calls %v", w.fake.Calls())
	}
	w.write("a", "2")
	w.has("/app/a", "2")
	before := w.db()
	w.must(Up, UpRequest{Project: p, ForceRecreate: true})
	if w.db() == before || w.fake.Files(w.db())["/app/a"] != "2" {
		t.Errorf("the new container has %v", w.fake.Files(w.db()))
	}
}

func TestRestartAndRebuildAreOperations(t *testing.T) {
	w := newWatchedWorld(t)
	w.write("a", "1")
	w.write("b", "1")
	p := w.shop(model.WatchRule{Path: filepath.Join(w.dir, "a"), Action: watch.Restart}, model.WatchRule{Path: filepath.Join(w.dir, "b"), Action: watch.Rebuild})
	s := p.Services["db"]
	s.Image, s.Build = "", &model.Build{Context: w.dir}
	p.Services["db"] = s
	w.must(Up, UpRequest{Project: p, Watch: &Watching{Project: "shop", Origin: []byte(`"o"`)}})
	w.write("a", "2")
	w.eventually("a restart", func() bool { return w.acted(watch.Restart) == 1 })
	if got := w.doer.all(); got != `restart "o" [db]` {
		t.Errorf("done %s", got)
	}
	before := w.db()
	w.fake.Edit(w.dir)
	w.write("b", "2")
	w.eventually("a rebuild", func() bool { return w.acted(watch.Rebuild) == 1 })
	if w.db() == before || !strings.HasSuffix(w.doer.all(), `up "o" [db]`) {
		t.Errorf("done %s, containers %s", w.doer.all(), w.states())
	}
	if n := w.told(func(e event.Watch) bool { return e.Kind == event.WatchBuild && e.Build.Text == "hello" }); n == 0 {
		t.Error("what the build wrote is not told")
	}
	w.must(Stop, StopRequest{Services: []string{"db"}})
	w.write("a", "3")
	w.eventually("the restart of what was stopped is over", func() bool { return w.acted(watch.Restart) == 2 })
	w.wantStates("shop-db-1 exited, shop-web-1 running")
}

func TestWatchingLastsUntilStopOrDown(t *testing.T) {
	w := newWatchedWorld(t)
	w.write("a", "1")
	rule := model.WatchRule{Path: w.dir, Target: "/app", Action: watch.Sync}
	w.must(Up, UpRequest{Project: w.shop(rule), Watch: &Watching{Project: "shop", Origin: []byte("1")}})
	store := w.c.Watches.Store
	w.end() // the daemon ends
	w.write("a", "2")
	w.open(store)
	w.has("/app/a", "2")
	if err := w.c.Watches.Pause("shop", true); err != nil {
		t.Fatal(err)
	}
	w.end()
	w.open(store)
	if status, err := w.c.Watches.Status("shop"); err != nil || !status.Paused || len(status.Rules) != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
	if err := w.c.Watches.Pause("shop", false); err != nil {
		t.Fatal(err)
	}
	other := rule
	other.Target = "/other"
	w.must(Up, UpRequest{Project: w.shop(other)}) // without --watch: it goes on with the new rules
	w.write("a", "3")
	w.has("/other/a", "3")
	w.must(Down, DownRequest{})
	if _, err := w.c.Watches.Status("shop"); !errors.Is(err, spec.ErrNotFound) {
		t.Errorf("after down: %v", err)
	}
	if names, _ := store.ListWatching(); len(names) != 0 {
		t.Errorf("kept is %v", names)
	}
	w.end()
	if len(w.follower.followed) != w.follower.ended || w.follower.ended != 3 { // one in each life: its origin stayed the same
		t.Errorf("followed %v, ended %d", w.follower.followed, w.follower.ended)
	}
}

func TestAProjectWithoutRulesIsNotWatched(t *testing.T) {
	w := newWatchedWorld(t)
	result := w.run(w.operation(Up, UpRequest{Project: shop(), Watch: &Watching{Project: "shop"}}))
	if result.Error != ErrNoRules.Error() {
		t.Errorf("result %+v", result)
	}
	w.wantStates("")
	if len(w.store.records) != 0 {
		t.Errorf("kept is %v", w.store.records)
	}
}
