package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// tail measures many saves of ours, and notes the hundredth that took longest.
func (b *bench) tail(r *row, all []*watching) error {
	for _, w := range all {
		if w.tool != b.ours {
			continue
		}
		var took []time.Duration
		for i := range 20 * b.rounds(30) {
			one, err := w.save(fmt.Sprintf("save %s %d", r.key, i), givenUp)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		slices.Sort(took)
		r.put(w.tool, took[len(took)*99/100])
	}
	return nil
}

// branchFiles is how many files a switch of branches changes.
const branchFiles = 1000

// branch measures from the last of many files that are written to the moment at
// which the container has all of them.
func (b *bench) branch(r *row, all []*watching) error {
	for i := range b.rounds(4) {
		for _, w := range all {
			took, err := w.switchBranch(fmt.Sprintf("branch %d\n", i))
			if err != nil && w.tool == b.ours {
				return err
			}
			r.put(w.tool, took)
		}
	}
	return nil
}

func (w *watching) switchBranch(text string) (time.Duration, error) {
	if err := os.MkdirAll(filepath.Join(w.dir, "src/many"), 0o755); err != nil {
		return 0, err
	}
	for i := range branchFiles {
		path := filepath.Join(w.dir, "src/many", fmt.Sprint(i))
		// As git does it: the old one is removed, the new one written in its place.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	began, seen := time.Now(), 0
	for seen < branchFiles {
		if raw, err := os.ReadFile(filepath.Join(w.root, "src/many", fmt.Sprint(seen))); err == nil && string(raw) == text {
			seen++
			continue
		}
		if time.Since(began) > givenUp {
			return givenUp, fmt.Errorf("%s: %d of %d files are visible after %s", w.tool.name, seen, branchFiles, givenUp)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(began), nil
}

var restarted = regexp.MustCompile(`Service "again" restarted in ([0-9.]+(?:ms|µs|s))`)

const restarting = `Restarting service "again"`

// restartCost notes what the last restart took: of a program that ends and begins
// at once it is our own part.
func (w *watching) restartCost(r *row) error {
	began := time.Now()
	out, err := w.status()
	// The new program may answer before its restart is told.
	for err == nil && len(restarted.FindAll(out, -1)) < bytes.Count(out, []byte(restarting)) && time.Since(began) < givenUp {
		time.Sleep(10 * time.Millisecond)
		out, err = w.status()
	}
	found := restarted.FindAllSubmatch(out, -1)
	if err != nil || len(found) == 0 {
		return errors.Join(err, fmt.Errorf("no restart is told by %q", out))
	}
	took, err := time.ParseDuration(string(found[len(found)-1][1]))
	if err != nil {
		return err
	}
	r.put(w.tool, took)
	return nil
}

// status is what the watch has told.
func (w *watching) status() (out []byte, err error) {
	cmd := exec.Command(w.tool.program, "watch", "--status")
	cmd.Dir, cmd.Env = w.dir, w.tool.env
	err = w.tool.world.do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	return out, err
}
