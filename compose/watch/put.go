package watch

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// shownPaths is how many paths an event names.
const shownPaths = 3

// step is one change for one container, and what it makes of the target.
type step struct {
	change   spec.FileChange
	path     string
	identity string
}

// sync puts pending paths into all containers of the service, and everything
// into those that are new; look asks for them although nothing is pending. It
// returns when to try again, the zero time if all is done.
func (l *lane) sync(ctx context.Context, look bool) time.Time {
	l.turn.Lock()
	defer l.turn.Unlock()
	s := l.session
	s.mu.Lock()
	pending := l.pending
	l.pending = map[string]time.Time{}
	s.mu.Unlock()
	if len(pending) == 0 && !look {
		return time.Time{}
	}
	ids, err := s.Actor.Replicas(ctx, l.service)
	left := map[string]bool{} // paths to try again
	changed, soon := 0, err != nil
	if err != nil {
		for path := range pending {
			left[path] = true
		}
	}
	var failures []string
	if err != nil {
		failures = append(failures, err.Error())
	}
	for _, id := range ids {
		n, again, failure := l.put(ctx, id, l.steps(id, pending, look))
		changed += n
		for path, now := range again {
			left[path] = true
			soon = soon || now
		}
		if failure != "" {
			failures = append(failures, failure)
		}
	}
	l.forgetOthers(ids, err)
	l.report(pending, changed, failures)
	return l.again(ctx, pending, left, soon)
}

// again puts back what could not be put, for the next save or for soon.
func (l *lane) again(ctx context.Context, pending map[string]time.Time, left map[string]bool, soon bool) time.Time {
	if len(left) == 0 || ctx.Err() != nil {
		return time.Time{}
	}
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	for path := range left {
		if at, ok := pending[path]; ok {
			l.pending[path] = at
		} else {
			l.pending[path] = time.Now()
		}
	}
	if !soon {
		return time.Time{}
	}
	wait := min(retryAfter<<l.retries, retryMost)
	l.retries = min(l.retries+1, 10)
	return time.Now().Add(wait)
}

// steps are what a container lacks: of the pending paths, or of all if that is
// asked for or the container is new. Those taken away come first, innermost
// before outer ones.
func (l *lane) steps(id string, pending map[string]time.Time, all bool) []step {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.Ledger.service(l.service)
	has, old := known.Containers[id]
	all = all || !old
	if !old {
		has = map[string]string{}
		known.Containers[id] = has
		s.dirty = true
	}
	var steps []step
	targets := map[string]bool{}
	want := func(path string, changed bool) {
		f, there := s.Ledger.Files[path]
		if !there {
			return
		}
		for _, r := range l.rules {
			if !r.Syncs() || !changed && !r.InitialSync || !r.Wants(path, f.folder()) {
				continue
			}
			target := r.TargetOf(path)
			if targets[target] || strings.TrimPrefix(has[target], inMemory) == f.Identity() {
				continue
			}
			targets[target] = true
			steps = append(steps, newStep(r, path, target, f, has[target] == "", all))
		}
	}
	for path := range pending {
		want(path, true)
	}
	if all {
		for path := range known.Changed {
			want(path, true)
		}
		if slices.ContainsFunc(l.rules, func(r *Rule) bool { return r.InitialSync }) {
			for path, f := range s.Ledger.Files {
				if f.Kind != Gone {
					want(path, false)
				}
			}
		}
	}
	slices.SortFunc(steps, compareSteps)
	return steps
}

func newStep(r *Rule, path, target string, f File, foreign, compare bool) step {
	st := step{path: path, identity: f.Identity(), change: spec.FileChange{Target: target, Compare: compare}}
	if f.Kind == Gone {
		st.change.Remove = true
		if foreign { // not put by us: only if it is what we know
			st.change.Digest = f.Digest
		}
		return st
	}
	rel, _ := filepath.Rel(r.Root(), path) // it lies below: the rule wants it
	st.change.Root, st.change.Path = r.Root(), rel
	return st
}

func compareSteps(a, b step) int {
	if a.change.Remove != b.change.Remove {
		if a.change.Remove {
			return -1
		}
		return 1
	}
	if a.change.Remove {
		return strings.Compare(b.change.Target, a.change.Target)
	}
	return cmp.Compare(a.change.Target, b.change.Target)
}

// put has steps done in one container. It returns how many changed something,
// the paths to try again, true for those that may go soon, and what went wrong.
func (l *lane) put(ctx context.Context, id string, steps []step) (changed int, again map[string]bool, failure string) {
	if len(steps) == 0 {
		return 0, nil, ""
	}
	changes := make([]spec.FileChange, len(steps))
	for i, st := range steps {
		changes[i] = st.change
	}
	results, err := l.session.Actor.SyncFiles(ctx, id, changes)
	if errors.Is(err, spec.ErrNotFound) { // removed meanwhile
		return 0, nil, ""
	}
	again = map[string]bool{}
	if err != nil {
		for _, st := range steps {
			again[st.path] = true
		}
		if !unfinished(err) {
			failure = err.Error()
		}
		return 0, again, failure
	}
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	has := l.session.Ledger.service(l.service).Containers[id]
	for i, r := range results {
		switch {
		case r.Error != "":
			failure = cmp.Or(failure, r.Error)
			again[steps[i].path] = false
		case r.Later:
			again[steps[i].path] = true
		case r.Gone: // a notice of that is on its way
		default:
			identity := steps[i].identity
			if r.Volatile {
				identity = inMemory + identity
			}
			has[steps[i].change.Target] = identity
			l.session.dirty = true
		}
		if r.Changed {
			changed++
		}
	}
	return changed, again, failure
}

// forgetOthers drops what is known of containers that are no more.
func (l *lane) forgetOthers(ids []string, err error) {
	if err != nil {
		return
	}
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	known := l.session.Ledger.service(l.service)
	for id := range known.Containers {
		if !slices.Contains(ids, id) {
			delete(known.Containers, id)
			l.session.dirty = true
		}
	}
}

// report tells what was put, and a failure when it is another one than before.
func (l *lane) report(pending map[string]time.Time, changed int, failures []string) {
	if failure := strings.Join(failures, "; "); failure != l.failing {
		l.failing = failure
		if failure != "" {
			l.session.Tell(event.Watch{Kind: event.WatchFailed, Service: l.service, Action: Sync, Text: failure})
		}
	}
	if changed == 0 {
		return
	}
	e := event.Watch{Kind: event.WatchSynced, Service: l.service, Action: Sync, Changes: max(len(pending), 1)}
	var first time.Time
	for path, at := range pending {
		if first.IsZero() || at.Before(first) {
			first = at
		}
		e.Paths = append(e.Paths, path)
	}
	if !first.IsZero() {
		e.Took = time.Since(first)
	}
	slices.Sort(e.Paths)
	e.Paths = e.Paths[:min(len(e.Paths), shownPaths)]
	l.session.Tell(e)
}

// forgetMemory drops what is known of the memory of a container that has ended.
func (l *lane) forgetMemory(id string) {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	has := l.session.Ledger.service(l.service).Containers[id]
	maps.DeleteFunc(has, func(_, identity string) bool { return strings.HasPrefix(identity, inMemory) })
	l.session.dirty = true
}

// started tries at once what waited for a container of the service to run.
func (l *lane) started() {
	l.session.mu.Lock()
	l.retries = 0
	l.session.mu.Unlock()
	l.awake()
}

// prepare puts everything into a container before its start.
func (l *lane) prepare(ctx context.Context, id string) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	at := time.Now()
	l.forgetMemory(id)
	_, again, failure := l.put(ctx, id, l.steps(id, nil, true))
	if failure != "" {
		return errors.New(failure)
	}
	l.prepared = at
	if len(again) > 0 { // in memory that it gets with its start
		l.session.mu.Lock()
		defer l.session.mu.Unlock()
		for path := range again {
			if _, waits := l.pending[path]; !waits {
				l.pending[path] = at
			}
		}
		l.awake()
	}
	return nil
}
