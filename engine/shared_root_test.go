package engine

import (
	"slices"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// hasShared reports whether the shared network stands.
func (r *rig) hasShared() bool {
	r.t.Helper()
	all, err := r.engine.Networks(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(n spec.Network) bool { return n.Name == spec.SharedNetworkName })
}

func (r *rig) removeContainer(id string) {
	r.t.Helper()
	if err := r.engine.RemoveContainer(r.t.Context(), id, spec.Remove{Force: true}); err != nil {
		r.t.Fatal(err)
	}
}

func TestTheSharedNetworkGoesWithItsLastContainer(t *testing.T) {
	r := newRig(t)
	at := spec.Attachment{Network: spec.SharedNetworkName}
	one := r.start(on(shell("one", forever), at)) // nobody has made it
	two := r.start(on(shell("two", forever), at))
	r.stop(two)
	r.removeContainer(one)
	if !r.hasShared() {
		t.Error("it is gone, and a stopped container would join it")
	}
	r.removeContainer(two)
	if r.hasShared() {
		t.Error("it stays without a container")
	}
	r.network(spec.Network{Name: spec.SharedNetworkName})
	r.removeContainer(r.start(on(shell("three", forever), at)))
	if !r.hasShared() {
		t.Error("one that a user made is gone")
	}
}
