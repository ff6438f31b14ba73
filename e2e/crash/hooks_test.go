package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func (w *world) told() string { return filepath.Join(w.dir, "ring/told/all") }

// clearTold forgets what hooks have told.
func (w *world) clearTold() error {
	for _, path := range []string{w.told(), filepath.Join(filepath.Dir(w.told()), "seen")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tells: hooks of those words have run, in that order: once each, or, where a
// process of ours was killed, some of them once more from the one that it was at.
func (w *world) tells(t *trial, words ...string) error {
	raw, err := os.ReadFile(w.told())
	if err != nil {
		return err
	}
	told := strings.Fields(string(raw))
	at := 0
	for i, word := range told {
		switch {
		case at < len(words) && word == words[at]:
			at++
		case len(t.faults) == 0:
			return fmt.Errorf("hooks have told %q", told)
		case word == words[0]: // all of them again
			at = 1
		case i > 0 && word == told[i-1]: // the one that was under way
		default:
			return fmt.Errorf("hooks have told %q, want %q", told, words)
		}
	}
	if at != len(words) {
		return fmt.Errorf("hooks have told %q, want %q", told, words)
	}
	return nil
}

// ringIsUp: all hooks of its start have run before what depends on it began, and
// the next up has none to run.
func (w *world) ringIsUp(t *trial) error {
	err := eventually(func() error {
		rows, err := w.ps("ring")
		for _, name := range []string{"ring-1", "after-1"} {
			if err == nil && rows[name].State != "running" {
				err = fmt.Errorf("%s is %q", name, rows[name].State)
			}
		}
		return err
	})
	if err == nil {
		err = w.tells(t, "first", "second")
	}
	if err != nil {
		return err
	}
	err = eventually(func() error { // it may just have begun
		seen, err := os.ReadFile(filepath.Join(filepath.Dir(w.told()), "seen"))
		if err == nil && !strings.HasSuffix(string(seen), "first\nsecond\n") {
			err = fmt.Errorf("after has seen %q", seen)
		}
		return err
	})
	if err != nil {
		return err
	}
	before, err := os.ReadFile(w.told())
	if err == nil {
		err = w.must("ring", "up", "-d")
	}
	if err != nil {
		return err
	}
	now, err := os.ReadFile(w.told())
	if err == nil && string(now) != string(before) {
		err = fmt.Errorf("the next up has run hooks: %q, before %q", now, before)
	}
	return err
}

// ringIsStopped: the hook before its stop has run, unless its monitor was killed
// before.
func (w *world) ringIsStopped(t *trial) error {
	rows, err := w.ps("ring")
	if err != nil {
		return err
	}
	for name, row := range rows {
		if row.State != "exited" {
			return fmt.Errorf("%s is %s", name, row.State)
		}
	}
	if t.lostMonitor("ring-1") {
		return nil
	}
	return w.tells(t, "first", "second", "down")
}
