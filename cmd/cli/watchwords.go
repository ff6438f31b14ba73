package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/event"
)

// syncPause is how long after a line of a service's sync further ones are added
// up: a branch switch is a handful of lines, a single save is told at once.
const syncPause = 250 * time.Millisecond

// watchWords shows events of watching as lines, those of builds included unless
// it is quiet.
type watchWords struct {
	quiet  bool
	show   func(line string)
	builds map[string]*ui.BuildLog // of the rebuilds at work, by service

	mu    sync.Mutex // guards what follows, and show
	held  *event.Watch
	told  map[string]time.Time // when the last sync of a service was shown
	timer *time.Timer
}

// tell shows an event, at once or with those of the same kind that follow.
func (w *watchWords) tell(e event.Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind != event.WatchSynced {
		w.flush()
		for _, line := range w.lines(e) {
			w.show(line)
		}
		return
	}
	if w.held != nil && w.held.Service == e.Service {
		w.held.Changes += e.Changes
		w.held.Took = max(w.held.Took, e.Took)
		return
	}
	w.flush()
	wait := syncPause - time.Since(w.told[e.Service])
	if wait <= 0 {
		w.synced(e)
		return
	}
	w.held = &e
	w.timer = time.AfterFunc(wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flush()
	})
}

// end shows what is held.
func (w *watchWords) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

// flush shows what is held. mu is held.
func (w *watchWords) flush() {
	if w.held == nil {
		return
	}
	w.timer.Stop()
	w.synced(*w.held)
	w.held = nil
}

func (w *watchWords) synced(e event.Watch) {
	if w.told == nil {
		w.told = map[string]time.Time{}
	}
	w.told[e.Service] = time.Now()
	w.show(watchLine(e))
}

// lines are those of any other event.
func (w *watchWords) lines(e event.Watch) []string {
	switch {
	case e.Kind == event.WatchActs && e.Action == "rebuild":
		if w.builds == nil {
			w.builds = map[string]*ui.BuildLog{}
		}
		w.builds[e.Service] = ui.NewBuildLog()
	case e.Kind == event.WatchBuild:
		log := w.builds[e.Service]
		if w.quiet || log == nil || e.Build == nil { // nil: we came in the middle
			return nil
		}
		var out []string
		for _, line := range log.Lines(*e.Build) {
			out = append(out, e.Service+" | "+line)
		}
		return out
	}
	if text := watchLine(e); text != "" {
		return []string{text}
	}
	return nil
}

// watchLine words an event, as docker compose does where it has one.
func watchLine(e event.Watch) string {
	switch e.Kind {
	case event.WatchSynced:
		names := make([]string, len(e.Paths))
		for i, path := range e.Paths {
			names[i] = filepath.Base(path)
		}
		if e.Changes > len(names) {
			names = append(names, "…")
		}
		detail := strings.Join(names, ", ")
		if e.Took > 0 {
			detail += " in " + shortTime(e.Took)
		}
		return fmt.Sprintf("Syncing service %q after %d changes were detected (%s)", e.Service, e.Changes, strings.TrimSpace(detail))
	case event.WatchActs:
		switch e.Action {
		case "rebuild":
			return fmt.Sprintf("Rebuilding service %q after changes were detected", e.Service)
		case "restart":
			return fmt.Sprintf("Restarting service %q after changes were detected", e.Service)
		}
		return fmt.Sprintf("Executing the command of service %q after changes were detected", e.Service)
	case event.WatchActed:
		word := map[string]string{"rebuild": "rebuilt", "restart": "restarted", "exec": "executed"}[e.Action]
		return fmt.Sprintf("Service %q %s in %s", e.Service, word, shortTime(e.Took))
	case event.WatchPlan:
		return "  " + e.Text
	case event.WatchFailed:
		if e.Service == "" {
			return e.Text
		}
		return fmt.Sprintf("Failed to %s service %q: %s", e.Action, e.Service, e.Text)
	case event.WatchOutput:
		return e.Service + " | " + e.Text
	}
	return e.Text
}

// shortTime is a duration for people.
func shortTime(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
