package engine

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// What cannot be written any more, as on a full disk, keeps no container from being
// removed; its address is free again, for the next engine too.
func TestAContainerGoesThoughTheEndOfItsLeaseIsNotStored(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	r.start(on(shell("stays", forever), spec.Attachment{Network: "n"}))
	id := r.start(on(shell("goes", forever), spec.Attachment{Network: "n"}))
	file := filepath.Join(r.place.State, "networks/n/leases.json")
	if err := unix.Mount(file, file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	errs := []error{
		unix.Mount("", file, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""),
		r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true}),
		unix.Unmount(file, 0),
	}
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		held := r.engine.bridge("n").leases.Held
		if _, there := held[id]; there || len(held) != 1 {
			t.Errorf("leases are %v", held)
		}
		r.reopen()
	}
}
