package engine

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/volume"
)

// Somebody removes the folder of a container that runs: its next run has its
// image's files again, and the next engine still knows it.
func TestAContainerWhoseFolderWasRemovedIsWholeAfterARestart(t *testing.T) {
	for name, keep := range map[string]bool{"in place": true, "anew": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := r.startReady(shell("web", ready))
			if err := os.RemoveAll(r.engine.place.ContainerDir(id)); err != nil {
				t.Fatal(err)
			}
			if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: keep}); err != nil {
				t.Fatal(err)
			}
			if err := r.engine.StartContainer(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if out, code := r.run(id, "echo text > /written && cat /written"); code != 0 || out != "text\n" {
				t.Errorf("it cannot write: %q, exit code %d", out, code)
			}
			r.reopen()
			if s := r.status(id); s.State != spec.StateRunning {
				t.Errorf("for the next engine it is %s", s.State)
			}
		})
	}
}

// A named volume that somebody removed is refused in words, listed no more, and
// made anew by who wants it; an anonymous one is by its container's next start.
func TestARemovedVolumeIsMadeAnewForWhoWantsIt(t *testing.T) {
	r := newRig(t)
	named := spec.Volume{Name: "data"}
	if _, err := r.engine.CreateVolume(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	b := shell("web", ready)
	b.Mounts = []spec.Mount{
		{Type: spec.MountVolume, Source: "data", Target: "/data"}, {Type: spec.MountVolume, Target: "/anonymous"},
	}
	id := r.startReady(b)
	volumes := r.status(id).Volumes
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range volumes {
		if err := os.RemoveAll(volume.Data(r.engine.volumeDir(name))); err != nil {
			t.Fatal(err)
		}
	}
	err := r.engine.StartContainer(t.Context(), id)
	if !errors.Is(err, spec.ErrNotFound) || !strings.Contains(err.Error(), "volume data is not there any more") {
		t.Errorf("start without its volume: %v", err)
	}
	if all, err := r.engine.Volumes(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("listed are %v, %v", all, err)
	}
	if err := r.engine.store.Get(store.Volume, "data", &spec.Volume{}); err != nil {
		t.Errorf("to list volumes has removed something: %v", err)
	}
	if _, err := r.engine.CreateVolume(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, code := r.run(id, "echo text > /data/x && echo text > /anonymous/x && cat /data/x /anonymous/x"); code != 0 {
		t.Errorf("they cannot be written: %q", out)
	}
	if all, err := r.engine.Volumes(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("listed are %v, %v", all, err)
	}
}
