package watch

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Actor does what is decided.
type Actor interface {
	// Replicas are the ids of a service's containers.
	Replicas(ctx context.Context, service string) ([]string, error)
	SyncFiles(ctx context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error)
	Restart(ctx context.Context, service string) error
	// Rebuild builds the image and makes the service's containers anew from it.
	// A context that ends cancels it; what runs stays.
	Rebuild(ctx context.Context, service string) error
	// Exec runs a command in each running container of a service, and tells
	// what it writes line by line.
	Exec(ctx context.Context, service string, hook model.Hook, output func(line string)) error
}

// Config makes a Session.
type Config struct {
	Rules  []*Rule
	Ledger *Ledger
	Actor  Actor
	// Save keeps the ledger; it is called by one goroutine at a time.
	Save func(*Ledger) error
	// Tell hears of what happens, in order. It must not block.
	Tell func(event.Watch)
	Log  *slog.Logger
}

// Session watches the files of one project for as long as Run runs.
type Session struct {
	Config
	lanes map[string]*lane

	// mu guards the ledger, the lanes' pending paths, and paused.
	mu     sync.Mutex
	dirty  bool // the ledger is not kept as it is
	paused bool

	ready   chan struct{} // closed when what happened before Run is dealt with
	watcher *watcher
	// slept is how long the machine has been suspended: sleepTime, or a test's.
	slept func() time.Duration
}

// New makes a session, which has to be run. What happened to the files while
// nobody watched shows in the ledger: Run repairs it.
func New(c Config) (*Session, error) {
	c.Ledger.whole()
	s := &Session{Config: c, lanes: map[string]*lane{}, ready: make(chan struct{}), slept: sleepTime}
	for _, r := range c.Rules {
		l := s.lanes[r.Service]
		if l == nil {
			l = &lane{session: s, service: r.Service, wake: make(chan struct{}, 1), pending: map[string]time.Time{}, done: make(chan error, 1), hooks: map[int]model.Hook{}}
			s.lanes[r.Service] = l
		}
		l.rules = append(l.rules, r)
	}
	var err error
	s.watcher, err = newWatcher(s)
	return s, err
}

// period is how often the ledger is kept if it has changed, what nobody tells
// of is looked at, and a sleep of the machine is noticed. A ledger that is lost
// costs a repeated look, never a save.
const period = time.Second

// Run watches until ctx ends, waits for what it has begun, and keeps the ledger.
func (s *Session) Run(ctx context.Context) error {
	defer s.watcher.close()
	var lanes sync.WaitGroup
	defer func() {
		lanes.Wait()
		s.save()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.begin()
	for _, l := range s.lanes {
		lanes.Go(func() { l.run(ctx) })
	}
	close(s.ready)
	return s.loop(ctx)
}

// begin looks at everything. What rules see for the first time is what
// containers have.
func (s *Session) begin() {
	for _, r := range s.Rules {
		r.fresh = !s.Ledger.Rules[r.key()]
	}
	now := time.Now()
	s.rescan(now)
	s.mu.Lock()
	clear(s.Ledger.Rules)
	for _, r := range s.Rules {
		r.fresh = false
		s.Ledger.Rules[r.key()] = true
	}
	s.dirty = true
	for _, l := range s.lanes {
		l.resumeOwed(now)
	}
	s.mu.Unlock()
}

// checkKnown looks at all paths of the ledger: what is gone tells nobody.
func (s *Session) checkKnown(at time.Time) {
	for _, p := range s.known("/") {
		s.check(p, true, at)
	}
}

// known are the paths of the ledger that were there at or below dir.
func (s *Session) known(dir string) []found {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []found
	for path, f := range s.Ledger.Files {
		if f.Kind != Gone && under(path, dir) {
			out = append(out, found{path, f.Kind == Folder})
		}
	}
	slices.SortFunc(out, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return out
}

// loop hears of changes until ctx ends.
func (s *Session) loop(ctx context.Context) error {
	batches := make(chan batch)
	var reading sync.WaitGroup
	reading.Go(func() { s.watcher.read(ctx, batches) })
	defer reading.Wait()
	defer s.watcher.close() // ends the read
	tick := time.NewTicker(period)
	defer tick.Stop()
	slept := s.slept()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-batches:
			if b.err != nil {
				return b.err
			}
			s.heard(b)
		case <-tick.C:
			now := s.slept()
			if s.watcher.polls() || now-slept >= period {
				s.rescan(time.Now())
			}
			slept = now
			s.save()
		}
	}
}

// heard deals with a batch of notices.
func (s *Session) heard(b batch) {
	paths, overflow := s.watcher.paths(b.notices)
	for _, p := range paths {
		s.check(p, false, b.at)
	}
	if overflow {
		s.Tell(event.Watch{Kind: event.WatchNotice, Text: "too many changes at once for the kernel's queue (fs.inotify.max_queued_events): checking all files"})
		s.rescan(b.at)
		return
	}
	s.wake()
}

// rescan looks at everything there is and at everything that is known.
func (s *Session) rescan(at time.Time) {
	s.watcher.scan(func(p found) { s.check(p, true, at) })
	s.checkKnown(at)
	s.wake()
}

func (s *Session) wake() {
	for _, l := range s.lanes {
		l.awake()
	}
}

// wanted reports whether any rule concerns itself with a path.
func (s *Session) wanted(p found) bool {
	return slices.ContainsFunc(s.Rules, func(r *Rule) bool { return r.Wants(p.path, p.folder) })
}

// unseen reports whether all rules that want a path see it for the first time.
func (s *Session) unseen(p found) bool {
	return !slices.ContainsFunc(s.Rules, func(r *Rule) bool { return !r.fresh && r.Wants(p.path, p.folder) })
}

// check looks at a path, if a rule wants it, and hands what has changed to the
// lanes.
func (s *Session) check(p found, trust bool, at time.Time) {
	if !s.wanted(p) {
		return
	}
	s.mu.Lock()
	known, has := s.Ledger.Files[p.path]
	s.mu.Unlock()
	now, err := look(p.path, known, trust)
	if err != nil {
		s.Log.Debug("cannot look at a watched file", "err", err)
		return
	}
	if now.folder() != p.folder { // it has become one, or was one
		p.folder = now.folder()
		if !s.wanted(p) {
			return
		}
	}
	if !has && now.Kind == Gone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now != known {
		s.Ledger.Files[p.path] = now
		s.dirty = true
	}
	if has && now.Identity() == known.Identity() || !has && s.unseen(p) {
		return
	}
	for _, l := range s.lanes {
		l.note(p, at)
	}
}

// save keeps the ledger if it has changed.
func (s *Session) save() {
	s.mu.Lock()
	if !s.dirty || s.Save == nil {
		s.mu.Unlock()
		return
	}
	kept := s.Ledger.clone()
	s.dirty = false
	s.mu.Unlock()
	if err := s.Save(kept); err != nil {
		s.Log.Error("what is known of watched files is not kept", "err", err)
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
	}
}

// Ready waits until what happened before Run is dealt with.
func (s *Session) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Pause stops acting; what changes meanwhile is done at Resume.
func (s *Session) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
}

// Resume goes on, also with what was paused because it restarted too often.
func (s *Session) Resume() {
	s.mu.Lock()
	s.paused = false
	for _, l := range s.lanes {
		l.decide.Resume()
	}
	s.mu.Unlock()
	s.wake()
}

// Prepare puts into a container that does not run yet what it must have before
// its first instruction. The container of a service that is not watched is
// left alone.
func (s *Session) Prepare(ctx context.Context, service, id string) error {
	l := s.lanes[service]
	if l == nil {
		return nil
	}
	if err := s.Ready(ctx); err != nil {
		return err
	}
	return l.prepare(ctx, id)
}

// Started tells that a container of a service runs: what had to wait for that is
// put.
func (s *Session) Started(service string) {
	if l := s.lanes[service]; l != nil {
		l.started()
	}
}

// Verdict is what one rule makes of a path.
type Verdict struct {
	Rule    string `json:"rule"`
	Service string `json:"service"`
	Action  string `json:"action"`
	Wants   bool   `json:"wants"`
	Reason
	// Target is where the path goes, for a rule that syncs and wants it.
	Target string `json:"target,omitempty"`
}

// Explain says what each rule makes of an absolute path.
func (s *Session) Explain(path string) []Verdict { return Explain(s.Rules, path) }

// Explain says what each rule makes of an absolute path.
func Explain(rules []*Rule, path string) []Verdict {
	info, err := os.Lstat(path)
	folder := err == nil && info.IsDir()
	var out []Verdict
	for _, r := range rules {
		v := Verdict{Rule: r.Name(), Service: r.Service, Action: r.Action}
		v.Wants, v.Reason = r.verdict(path, folder, true)
		if v.Wants && r.Syncs() {
			v.Target = r.TargetOf(path)
		}
		out = append(out, v)
	}
	return out
}

// Status is how a session stands.
type Status struct {
	// Files counts those that are known, Folders those that are watched, Polled
	// those that are looked at from time to time instead.
	Files  int `json:"files"`
	Polled int `json:"polled,omitempty"`
	// Waiting names services with changes that are not in their containers yet.
	Waiting []string `json:"waiting,omitempty"`
	// Flapping names services whose restarts rest.
	Flapping []string `json:"flapping,omitempty"`
	Folders  int      `json:"folders"`
}

// Status tells how the session stands.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Folders: s.watcher.notifier.watched(), Polled: int(s.watcher.count.Load())}
	for _, f := range s.Ledger.Files {
		if f.Kind == Regular || f.Kind == Link {
			out.Files++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.lanes)) {
		if l := s.lanes[name]; len(l.pending) > 0 {
			out.Waiting = append(out.Waiting, name)
		}
		if s.lanes[name].decide.Flapping {
			out.Flapping = append(out.Flapping, name)
		}
	}
	return out
}
