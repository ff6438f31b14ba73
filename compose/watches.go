package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/watch"
	"github.com/mycompose/mycompose/engine/spec"
)

// Watching is what is kept of a project that is watched: a later daemon goes
// on with it.
type Watching struct {
	Project string `json:"project"`
	// Services selects; empty is all that have rules.
	Services []string `json:"services,omitempty"`
	Paused   bool     `json:"paused,omitempty"`
	// KeepImages: images without a name that a rebuild leaves stay.
	KeepImages bool `json:"keepImages,omitempty"`
	// Origin is the caller's: what its operations need to be like the one that
	// began the watching.
	Origin json.RawMessage `json:"origin,omitempty"`
}

// WatchStore keeps what is watched; cmd/daemon implements it over engine/store.
type WatchStore interface {
	// LoadWatching and LoadLedger fail with spec.ErrNotFound.
	LoadWatching(project string) (Watching, error)
	SaveWatching(w Watching) error
	LoadLedger(project string) (*watch.Ledger, error)
	SaveLedger(project string, l *watch.Ledger) error
	// DeleteWatching forgets both; nothing there is success.
	DeleteWatching(project string) error
	ListWatching() ([]string, error)
}

// Operations has operations done as if a client had asked for them.
type Operations interface {
	// Do returns the result of an operation on the kept project, and tells its
	// events meanwhile. A context that ends cancels it; Do does not wait for its
	// end then.
	Do(ctx context.Context, w Watching, kind Kind, request any, tell func(event.Event)) (event.Result, error)
}

// Execs runs commands in containers; the engine does.
type Execs interface {
	// ExecLines runs one to its end and tells what it writes.
	ExecLines(ctx context.Context, x spec.Exec, output func(line string)) (spec.ExecResult, error)
}

// Follower has a project follow the files of its model.
type Follower interface {
	// Follow returns when ctx ends, or at once for a project that follows
	// nothing. It tells what it does.
	Follow(ctx context.Context, w Watching, tell func(event.Watch)) error
}

// Watches are the projects that are watched. Watching is no operation: it goes
// on until Stop, a down, or the daemon's end, and in the next daemon's life.
type Watches struct {
	Compose    *Compose
	Store      WatchStore
	Operations Operations
	Execs      Execs
	Follower   Follower // nil: nobody follows the model
	Log        *slog.Logger

	ctx  context.Context // the daemon's life
	mu   sync.Mutex      // guards all
	all  map[string]*watching
	turn sync.Mutex     // held by the one that begins or ends a session
	work sync.WaitGroup // those who follow
}

// watching is one project that is watched.
type watching struct {
	project string
	mu      sync.Mutex // guards kept
	kept    Watching
	rules   []watchedRules // to see whether they have changed
	session *watch.Session
	cancel  context.CancelFunc
	done    chan struct{}
	news    *News
	// unfollow ends the following of its model. That outlives the session, which
	// it may have begun anew itself.
	unfollow context.CancelFunc
}

// watchedRules are what the rules of a service are made of.
type watchedRules struct {
	name  string
	rules []model.WatchRule
	build *model.Build
}

// now is how the project is watched.
func (w *watching) now() Watching {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept
}

func (w *watching) keep(kept Watching) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = kept
}

// Open takes up what an earlier daemon watched; ctx is this one's life.
func (w *Watches) Open(ctx context.Context) error {
	w.ctx, w.all = ctx, map[string]*watching{}
	names, err := w.Store.ListWatching()
	for _, name := range names {
		kept, loadErr := w.Store.LoadWatching(name)
		if loadErr == nil {
			var record Record
			if record, loadErr = w.Compose.Projects.LoadProject(ctx, name); loadErr == nil {
				loadErr = w.begin(kept, record.Model)
			}
		}
		if loadErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot watch %s: %w", name, loadErr))
		}
	}
	return err
}

// Close ends all sessions once the context of Open has ended; what was watched
// stays kept.
func (w *Watches) Close() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	all := w.all
	w.all = map[string]*watching{}
	w.mu.Unlock()
	for _, one := range all {
		one.cancel()
		<-one.done
		one.unfollow()
		one.news.close()
	}
	w.work.Wait()
}

// ErrNoRules is returned where nothing is to be watched.
var ErrNoRules = errors.New("none of the selected services is configured for watch, consider setting a 'develop' section")

// Begin watches a project from now on. If it is watched already with the same
// rules nothing happens.
func (w *Watches) Begin(kept Watching, p *model.Project) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	if old := w.get(kept.Project); old != nil {
		kept.Paused = old.now().Paused
		if reflect.DeepEqual(old.rules, rulesOf(p, kept.Services)) && slices.Equal(old.now().Services, kept.Services) {
			w.follow(old, kept)
			return w.Store.SaveWatching(kept)
		}
	}
	if err := w.begin(kept, p); err != nil {
		return err
	}
	return w.Store.SaveWatching(kept)
}

// renew has a watched project go on with the rules of its model as it is now.
func (w *Watches) renew(p *model.Project) error {
	one := w.get(p.Name)
	if one == nil {
		return nil
	}
	err := w.Begin(one.now(), p)
	if errors.Is(err, ErrNoRules) {
		return w.Stop(p.Name)
	}
	return err
}

func rulesOf(p *model.Project, services []string) (out []watchedRules) {
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if len(s.Watch) > 0 && (len(services) == 0 || slices.Contains(services, name)) {
			out = append(out, watchedRules{name, s.Watch, s.Build})
		}
	}
	return out
}

// begin starts a session in place of the one that there may be; turn is held,
// or nobody else is there yet.
func (w *Watches) begin(kept Watching, p *model.Project) error {
	rules, warnings, err := watch.Rules(p, kept.Services)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return ErrNoRules
	}
	ledger, err := w.Store.LoadLedger(kept.Project)
	if errors.Is(err, spec.ErrNotFound) {
		ledger, err = watch.NewLedger(), nil
	}
	if err != nil {
		return err
	}
	one := &watching{project: kept.Project, kept: kept, rules: rulesOf(p, kept.Services), done: make(chan struct{}), news: newNews()}
	old := w.get(kept.Project)
	if old != nil {
		old.cancel()
		<-old.done
		one.news, one.unfollow = old.news, old.unfollow
		if ledger, err = w.Store.LoadLedger(kept.Project); err != nil {
			return err
		}
	}
	one.session, err = watch.New(watch.Config{
		Rules: rules, Ledger: ledger, Log: w.Log.With("project", kept.Project), Tell: one.news.tell,
		Actor: &actor{watches: w, watching: one},
		Save:  func(l *watch.Ledger) error { return w.Store.SaveLedger(kept.Project, l) },
	})
	if err != nil {
		return err
	}
	if kept.Paused {
		one.session.Pause()
	}
	ctx, cancel := context.WithCancel(w.ctx)
	one.cancel = cancel
	w.mu.Lock()
	w.all[kept.Project] = one
	w.mu.Unlock()
	for _, warning := range warnings {
		one.news.tell(event.Watch{Kind: event.WatchNotice, Text: warning})
	}
	go w.run(ctx, one) // Close, Stop or a following begin waits for it
	if old != nil {
		one.keep(old.now())
	}
	w.follow(one, kept)
	return nil
}

// follow has the model followed as kept says, unless it is already. turn is
// held.
func (w *Watches) follow(one *watching, kept Watching) {
	same := bytes.Equal(one.now().Origin, kept.Origin)
	one.keep(kept)
	if one.unfollow != nil && same || w.Follower == nil {
		return
	}
	if one.unfollow != nil {
		one.unfollow()
	}
	ctx, cancel := context.WithCancel(w.ctx)
	one.unfollow = cancel
	w.work.Go(func() {
		if err := w.Follower.Follow(ctx, kept, one.news.tell); err != nil {
			one.news.tell(event.Watch{Kind: event.WatchFailed, Action: "follow", Text: err.Error()})
		}
	})
}

func (w *Watches) run(ctx context.Context, one *watching) {
	defer close(one.done)
	one.news.tell(event.Watch{Kind: event.WatchEnabled, Text: "Watch enabled"})
	if err := one.session.Run(ctx); err != nil {
		one.news.tell(event.Watch{Kind: event.WatchFailed, Text: err.Error()})
		w.Log.Error("watching has ended", "project", one.project, "err", err)
	}
}

func (w *Watches) get(project string) *watching {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[project]
}

// watched returns what is watched, or spec.ErrNotFound.
func (w *Watches) watched(project string) (*watching, error) {
	if one := w.get(project); one != nil {
		return one, nil
	}
	return nil, spec.Errorf(spec.ErrNotFound, "project %s is not watched; `mycompose watch` or `mycompose up -d --watch` begins it", project)
}

// Stop ends the watching of a project; one that is not watched is success.
func (w *Watches) Stop(project string) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	one := w.all[project]
	delete(w.all, project)
	w.mu.Unlock()
	if one != nil {
		one.cancel()
		<-one.done
		one.unfollow()
		one.news.tell(event.Watch{Kind: event.WatchEnded, Text: "Watch disabled"})
		one.news.close()
	}
	if err := w.Store.DeleteWatching(project); err != nil {
		return fmt.Errorf("cannot stop watching %s: %w", project, err)
	}
	return nil
}

// Pause has a project's changes wait for Resume, which lifts other pauses too.
func (w *Watches) Pause(project string, pause bool) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	one, err := w.watched(project)
	if err != nil {
		return err
	}
	kept := one.now()
	kept.Paused = pause
	one.keep(kept)
	if pause {
		one.session.Pause()
	} else {
		one.session.Resume()
	}
	return w.Store.SaveWatching(kept)
}

// WatchStatus is how the watching of a project stands.
type WatchStatus struct {
	Project  string   `json:"project"`
	Services []string `json:"services"`
	Paused   bool     `json:"paused,omitempty"`
	watch.Status
	// Rules are all that hold, as sentences.
	Rules []string `json:"rules"`
	// Last are the newest events.
	Last []event.Watch `json:"last,omitempty"`
}

// Status tells how the watching of a project stands; spec.ErrNotFound if it is
// not watched.
func (w *Watches) Status(project string) (WatchStatus, error) {
	one, err := w.watched(project)
	if err != nil {
		return WatchStatus{}, err
	}
	out := WatchStatus{Project: project, Paused: one.now().Paused, Status: one.session.Status(), Last: one.news.last(lastShown)}
	for _, r := range one.session.Rules {
		if !slices.Contains(out.Services, r.Service) {
			out.Services = append(out.Services, r.Service)
		}
		text := fmt.Sprintf("%s: %s %s", r.Service, r.Action, r.Path)
		if r.Target != "" {
			text += " → " + r.Target
		}
		out.Rules = append(out.Rules, text)
	}
	return out, nil
}

// lastShown is how many events a status holds.
const lastShown = 5

// Explain says what each rule makes of an absolute path.
func (w *Watches) Explain(project, path string) ([]watch.Verdict, error) {
	one, err := w.watched(project)
	if err != nil {
		return nil, err
	}
	return one.session.Explain(path), nil
}

// News are the events of a watched project.
func (w *Watches) News(project string) (*News, error) {
	one, err := w.watched(project)
	if err != nil {
		return nil, err
	}
	return one.news, nil
}

// session is that of a watched project, or nil.
func (w *Watches) session(project string) *watch.Session {
	if w == nil {
		return nil
	}
	if one := w.get(project); one != nil {
		return one.session
	}
	return nil
}
