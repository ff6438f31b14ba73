package engine

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// The log of a replica that was not made again, since its recreation failed, is
// nobody's: it goes with the last container of the project, and not before.
func TestAProjectsLogsGoWithItsLastContainer(t *testing.T) {
	r := newRig(t)
	var ids []string
	for _, name := range []string{"one", "two", "three"} {
		b := shell(name, "echo said")
		b.Project, b.Log.Replica = "shop", name
		ids = append(ids, r.start(b))
	}
	for _, id := range ids {
		r.until(id, "ended", func(s spec.Status) bool { return s.State == spec.StateExited })
	}
	remove := func(id string, how spec.Remove) {
		if err := r.engine.RemoveContainer(t.Context(), id, how); err != nil {
			t.Error(err)
		}
	}
	remove(ids[0], spec.Remove{KeepLog: true}) // and made no more
	kept := r.place.LogDir("shop", "one")
	if _, err := os.Stat(kept); err != nil {
		t.Fatal(err)
	}
	var removing sync.WaitGroup
	for _, id := range ids[1:] {
		removing.Go(func() { remove(id, spec.Remove{}) })
	}
	removing.Wait()
	if _, err := os.Stat(filepath.Dir(kept)); !os.IsNotExist(err) {
		t.Errorf("the logs are still there: %v", err)
	}
}
