package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// What a container that cannot be read has written is not taken for unused, until
// somebody has the container forgotten.
func TestPruneWaitsForWhatWasDamaged(t *testing.T) {
	r := newRig(t)
	b := shell("damaged", forever)
	b.Mounts = []spec.Mount{{Type: spec.MountVolume, Target: "/data"}}
	id := r.create(b)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.place.ContainerDir(id), store.Container.File), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open()
	all := func(spec.Volume) bool { return true }
	gone, _, err := r.engine.PruneVolumes(t.Context(), all)
	if !errors.Is(err, spec.ErrConflict) || !strings.Contains(err.Error(), "mycompose system prune") || len(gone) != 0 {
		t.Errorf("pruned %v, %v", gone, err)
	}
	if _, err := r.engine.PruneRemains(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gone, errs, err := r.engine.PruneVolumes(t.Context(), all); err != nil || len(errs) != 0 || len(gone) != 1 {
		t.Errorf("pruned %v, %v, %v", gone, errs, err)
	}
}
