package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// lane does the work of one service.
type lane struct {
	session *Session
	service string
	rules   []*Rule
	wake    chan struct{} // room for one
	done    chan error    // the end of the running action

	// The session's mu guards these.
	pending map[string]time.Time // paths to be put, since when
	decide  Lane
	hooks   map[int]model.Hook // of rules whose exec is wanted, by index
	retries uint               // of files that could not be put, since a change

	// turn is held while files are put into containers; it is taken before mu.
	turn     sync.Mutex
	prepared time.Time // when the last container got its files before its start
	failing  string    // the failure that was told last

	cancel context.CancelCauseFunc // of the running action
	action string
	began  time.Time
}

// errNewer is why a rebuild is canceled.
var errNewer = errors.New("a newer save")

// retryAfter is how long files that could not be put wait for another try, each
// time twice as long, at most retryMost. A change, or a start, tries at once.
const (
	retryAfter = 500 * time.Millisecond
	retryMost  = 16 * time.Second
)

func (l *lane) awake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// note takes in a change. mu is held.
func (l *lane) note(p found, at time.Time) {
	known := l.session.Ledger.service(l.service)
	for _, r := range l.rules {
		if !r.Wants(p.path, p.folder) {
			continue
		}
		if r.Syncs() {
			if _, waits := l.pending[p.path]; !waits {
				l.pending[p.path] = at
			}
			l.retries = 0
			known.Changed[p.path] = true
		}
		if then := r.Then(); then != "" && !p.folder {
			l.decide.Want(then, at)
			known.Owed[then] = true
			if r.WatchRule.Exec != nil {
				l.hooks[r.Index] = *r.WatchRule.Exec
			}
		}
	}
}

// resumeOwed wants again what was decided on before and not done. mu is held.
func (l *lane) resumeOwed(now time.Time) {
	for action := range l.session.Ledger.service(l.service).Owed {
		l.decide.Want(action, now)
		for _, r := range l.rules {
			if action == Exec && r.WatchRule.Exec != nil {
				l.hooks[r.Index] = *r.WatchRule.Exec
			}
		}
	}
}

// run works until ctx ends.
func (l *lane) run(ctx context.Context) {
	l.awake() // containers may have come and gone while nobody watched
	look := true
	for {
		var timer <-chan time.Time
		if !l.resting() {
			retry := l.sync(ctx, look)
			look = false
			timer = after(l.act(ctx), retry)
		}
		select {
		case <-ctx.Done():
			if l.action != "" {
				l.cancel(context.Cause(ctx))
				<-l.done
			}
			return
		case <-l.wake:
		case err := <-l.done:
			l.ended(ctx, err)
		case <-timer:
		}
	}
}

func (l *lane) resting() bool {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.session.paused
}

// after is a timer for the earlier of two moments; zero ones do not count.
func after(a, b time.Time) <-chan time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		a = b
	}
	if a.IsZero() {
		return nil
	}
	return time.After(time.Until(a))
}

// act begins or cancels an action, and returns when to ask again.
func (l *lane) act(ctx context.Context) time.Time {
	s := l.session
	s.mu.Lock()
	flapped := l.decide.Flapping
	begin, cancel, again := l.decide.Next(time.Now())
	flapped = !flapped && l.decide.Flapping
	hooks := l.takeHooks(begin)
	s.mu.Unlock()
	if flapped {
		s.Tell(event.Watch{Kind: event.WatchFailed, Service: l.service, Action: Restart, Text: fmt.Sprintf(
			"%s was restarted %d times in a minute: restarts are on hold until `mycompose watch --resume`; files are still synced", l.service, flapping)})
	}
	if cancel {
		l.cancel(errNewer)
	}
	if begin == "" {
		return again
	}
	acting, end := context.WithCancelCause(ctx)
	l.action, l.cancel, l.began = begin, end, time.Now()
	s.Tell(event.Watch{Kind: event.WatchActs, Service: l.service, Action: begin})
	go func() { l.done <- l.do(acting, begin, hooks) }() // run receives it
	return time.Time{}
}

// takeHooks are the commands that an exec is to run, in the order of the file.
// mu is held.
func (l *lane) takeHooks(action string) []model.Hook {
	if action != Exec {
		return nil
	}
	var out []model.Hook
	for _, index := range slices.Sorted(maps.Keys(l.hooks)) {
		out = append(out, l.hooks[index])
	}
	clear(l.hooks)
	return out
}

// do does one action.
func (l *lane) do(ctx context.Context, action string, hooks []model.Hook) error {
	actor := l.session.Actor
	switch action {
	case Restart:
		return actor.Restart(ctx, l.service)
	case Rebuild:
		return actor.Rebuild(ctx, l.service)
	}
	var errs []error
	for _, hook := range hooks {
		errs = append(errs, actor.Exec(ctx, l.service, hook, func(line string) {
			l.session.Tell(event.Watch{Kind: event.WatchOutput, Service: l.service, Action: Exec, Text: line})
		}))
	}
	return errors.Join(errs...)
}

// ended notes the end of the running action.
func (l *lane) ended(ctx context.Context, err error) {
	action, took := l.action, time.Since(l.began)
	l.cancel(nil)
	l.action, l.cancel = "", nil
	l.turn.Lock()
	prepared := l.prepared
	l.turn.Unlock()
	if action != Rebuild || err != nil || prepared.Before(l.began) {
		prepared = time.Time{}
	}
	s := l.session
	s.mu.Lock()
	l.decide.Done(prepared)
	owed := s.Ledger.service(l.service).Owed
	if err == nil {
		for _, a := range []string{action, Restart} {
			if !l.decide.Wanted(a) && (a == action || !prepared.IsZero()) {
				delete(owed, a)
			}
		}
		s.dirty = true
	}
	s.mu.Unlock()
	e := event.Watch{Kind: event.WatchActed, Service: l.service, Action: action, Took: took}
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, errNewer):
		e.Kind, e.Text = event.WatchNotice, "Rebuild of "+l.service+" canceled by a newer save"
	case err != nil:
		e.Kind, e.Text = event.WatchFailed, err.Error()
	}
	s.Tell(e)
}

// unfinished reports whether an error is one that goes away by itself.
func unfinished(err error) bool { return errors.Is(err, spec.ErrUnavailable) }
