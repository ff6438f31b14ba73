package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/compose/event"
)

// found is a path and whether it is a folder.
type found struct {
	path   string
	folder bool
}

// batch are notices that came together, or the end.
type batch struct {
	notices []notice
	at      time.Time
	err     error
}

// watcher knows which folders are watched, and turns notices into paths. It
// belongs to the session's goroutine, read excepted.
type watcher struct {
	session  *Session
	notifier *notifier
	roots    []string
	// missing are roots that are not there, polled folders that nobody tells of.
	missing map[string]bool
	polled  map[string]bool
	count   atomic.Int64    // of polled, for others
	told    map[string]bool // what is said once
	// silent names a file system where nothing is heard of: silent, or a test's.
	silent func(dir string) string
}

func newWatcher(s *Session) (*watcher, error) {
	n, err := newNotifier()
	if err != nil {
		return nil, err
	}
	w := &watcher{session: s, notifier: n, missing: map[string]bool{}, polled: map[string]bool{}, told: map[string]bool{}, silent: silent}
	for _, r := range s.Rules {
		if !slices.Contains(w.roots, r.Root()) {
			w.roots = append(w.roots, r.Root())
		}
	}
	return w, nil
}

func (w *watcher) close() { w.notifier.close() } // a second time is an error that says so

// read hands on what comes, until the notifier is closed.
func (w *watcher) read(ctx context.Context, to chan<- batch) {
	buf := make([]byte, bufferSize)
	for {
		notices, err := w.notifier.read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		select {
		case to <- batch{notices, time.Now(), err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// polls reports whether all has to be looked at now: some folders tell nothing, or
// a root that was missing is there again.
func (w *watcher) polls() bool {
	for root := range w.missing {
		if info, err := os.Stat(root); err == nil && info.IsDir() {
			return true
		}
	}
	return len(w.polled) > 0
}

// scan watches all folders that rules reach and visits what is in them.
func (w *watcher) scan(visit func(found)) {
	clear(w.polled)
	for _, root := range w.roots {
		info, err := os.Stat(root)
		if w.missing[root] = err != nil || !info.IsDir(); w.missing[root] {
			continue
		}
		delete(w.missing, root)
		visit(found{root, true})
		w.walk(root, visit)
	}
}

// walk watches a folder before it lists it, so that nothing is missed.
func (w *watcher) walk(dir string, visit func(found)) {
	if !slices.ContainsFunc(w.session.Rules, func(r *Rule) bool { return r.Descends(dir) }) {
		return
	}
	w.watch(dir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.once("read "+dir, fmt.Sprintf("cannot watch %s: %v", dir, err))
	}
	for _, entry := range entries {
		p := found{filepath.Join(dir, entry.Name()), entry.IsDir()}
		visit(p)
		if p.folder {
			w.walk(p.path, visit)
		}
	}
}

// watch has the kernel tell of changes in a folder, or has it polled.
func (w *watcher) watch(dir string) {
	if kind := w.silent(dir); kind != "" {
		w.polled[dir] = true
		w.count.Store(int64(len(w.polled)))
		w.once("silent "+kind, fmt.Sprintf("%s lies on %s, where the kernel reports no changes: it is checked every %v", dir, kind, period))
		return
	}
	err := w.notifier.add(dir)
	defer func() { w.count.Store(int64(len(w.polled))) }()
	switch {
	case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
	case errors.Is(err, unix.ENOSPC):
		w.polled[dir] = true
		w.once("limit", fmt.Sprintf("no inotify watch is left after %d: raise the limit by `sysctl fs.inotify.max_user_watches=524288`; "+
			"the other folders are checked every %v", w.notifier.watched(), period))
	default:
		w.polled[dir] = true
		w.once("watch "+dir, fmt.Sprintf("cannot watch %s: %v; it is checked every %v", dir, err, period))
	}
}

// once tells something the first time that it is so.
func (w *watcher) once(what, text string) {
	if !w.told[what] {
		w.told[what] = true
		w.session.Tell(event.Watch{Kind: event.WatchNotice, Text: text})
	}
}

// paths are those to look at after notices, each once and in order; overflow
// reports that there were more.
func (w *watcher) paths(notices []notice) (out []found, overflow bool) {
	seen := map[found]bool{}
	add := func(p found) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	for _, n := range notices {
		folder := n.is(unix.IN_ISDIR)
		switch {
		case n.is(unix.IN_Q_OVERFLOW):
			overflow = true
		case n.is(unix.IN_DELETE_SELF | unix.IN_MOVE_SELF):
			w.gone(n.path, add)
		case !folder && n.is(unix.IN_CREATE) && !w.complete(n.path):
			// Its CLOSE_WRITE comes when it is.
		case !folder:
			add(found{n.path, false})
		case n.is(unix.IN_CREATE | unix.IN_MOVED_TO):
			add(found{n.path, true})
			w.walk(n.path, add)
		case n.is(unix.IN_DELETE | unix.IN_MOVED_FROM):
			w.notifier.forget(n.path)
			w.below(n.path, add)
		}
	}
	return out, overflow
}

// complete reports whether what has just been made is whole without being
// written to: a link, of either kind. What is ignored is not looked at.
func (w *watcher) complete(path string) bool {
	if !w.session.wanted(found{path, false}) {
		return false
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return false
	}
	return st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1
}

// gone deals with a watched folder that was moved or deleted itself. Of those
// in another watched folder that one tells.
func (w *watcher) gone(path string, add func(found)) {
	if slices.Contains(w.roots, path) {
		w.notifier.forget(path)
		w.missing[path] = true
		w.below(path, add)
	}
}

// below adds all that is known at and below a path.
func (w *watcher) below(path string, add func(found)) {
	for _, p := range w.session.known(path) {
		add(p)
	}
}

// sleepTime is how long the machine has been suspended since its boot,
// clock_gettime(2).
func sleepTime() time.Duration {
	var boot, running unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &running) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - running.Nano())
}
