package watch

import "time"

// The times of actions that follow a change.
const (
	// quiet is how long nothing may have changed before an action begins, most
	// how long changes may put it off.
	quiet = 40 * time.Millisecond
	most  = time.Second
	// flapping is more than this many restarts within flapTime.
	flapping = 10
	flapTime = time.Minute
)

// Lane decides when the actions of one service begin. It is plain data: what
// happens is told to it with the time, and Next says what to do.
//
//	idle ──Want──▶ waiting ──quiet 40 ms, at most 1 s──▶ running ──Done──▶ idle
//	                  ▲                                     │ Want
//	                  └──────────── Done ◀── (rebuild: canceled) ◀┘
//
// One action runs at a time: a rebuild before a restart before an exec. A
// rebuild makes its service anew, so a restart that was wanted before is done
// with it. A service that restarts too often is paused until Resume.
type Lane struct {
	wants    map[string]want
	running  string
	canceled bool
	// starts are those of restarts within flapTime, oldest first.
	starts []time.Time
	// Flapping: restarts rest.
	Flapping bool
}

// want is a wanted action.
type want struct{ first, last time.Time }

// order is that in which wanted actions are done.
var order = [...]string{Rebuild, Restart, Exec}

// Want notes that a change asks for an action.
func (l *Lane) Want(action string, now time.Time) {
	if l.wants == nil {
		l.wants = map[string]want{}
	}
	w, there := l.wants[action]
	if !there {
		w.first = now
	}
	w.last = now
	l.wants[action] = w
}

// Wanted reports whether an action is wanted or running.
func (l *Lane) Wanted(action string) bool {
	_, ok := l.wants[action]
	return ok || l.running == action
}

// Done notes the end of the running action. A restart wanted before renewed,
// the moment that a rebuild's container was given all files, has been done with
// it; the zero time is for all others.
func (l *Lane) Done(renewed time.Time) {
	l.running, l.canceled = "", false
	if w, ok := l.wants[Restart]; ok && w.last.Before(renewed) {
		delete(l.wants, Restart)
	}
}

// Resume ends a pause.
func (l *Lane) Resume() { l.Flapping, l.starts = false, nil }

// Next says what to do now: begin an action, or cancel the running one; or when
// to ask again, the zero time being once something is told.
func (l *Lane) Next(now time.Time) (begin string, cancel bool, again time.Time) {
	if l.running != "" {
		_, newer := l.wants[Rebuild]
		cancel = l.running == Rebuild && newer && !l.canceled
		l.canceled = l.canceled || cancel
		return "", cancel, time.Time{}
	}
	for _, action := range order {
		w, ok := l.wants[action]
		if !ok || action == Restart && l.Flapping {
			continue
		}
		due := w.last.Add(quiet)
		if latest := w.first.Add(most); latest.Before(due) {
			due = latest
		}
		if due.After(now) {
			return "", false, due // nothing overtakes what comes before it
		}
		if action == Restart && l.flaps(now) {
			continue // it waits for Resume
		}
		delete(l.wants, action)
		l.running = action
		return action, false, time.Time{}
	}
	return "", false, time.Time{}
}

// flaps counts a restart, and reports whether it is one too many.
func (l *Lane) flaps(now time.Time) bool {
	for len(l.starts) > 0 && now.Sub(l.starts[0]) >= flapTime {
		l.starts = l.starts[1:]
	}
	l.Flapping = len(l.starts) >= flapping
	if !l.Flapping {
		l.starts = append(l.starts, now)
	}
	return l.Flapping
}
