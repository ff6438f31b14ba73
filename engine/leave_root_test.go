package engine

import (
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// A daemon that dies between the removal of a container and the creation of its
// successor costs nobody the anonymous volumes: who is created next in its place,
// and knows nothing of them, has them; another replica has its own.
func TestAnonymousVolumesAreFoundAgainByTheNextEngine(t *testing.T) {
	r := newRig(t)
	blueprint := func(name string) spec.Blueprint {
		b := shell(name, ready)
		b.Log.Replica = name
		b.Mounts = []spec.Mount{{Type: spec.MountVolume, Target: "/anonymous/"}}
		return b
	}
	id := r.startReady(blueprint("web-1"))
	if out, code := r.run(id, "echo kept > /anonymous/file"); code != 0 {
		t.Fatal(out)
	}
	volume := r.status(id).Volumes["/anonymous/"]
	if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true, KeepLog: true}); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	other := r.startReady(blueprint("web-2"))
	if out, _ := r.run(other, "ls /anonymous"); out != "" {
		t.Errorf("another replica has %q", out)
	}
	id = r.startReady(blueprint("web-1"))
	if out, _ := r.run(id, "cat /anonymous/file"); out != "kept\n" {
		t.Errorf("the successor has %q", out)
	}
	r.reopen()
	if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true, Volumes: true}); err != nil {
		t.Fatal(err)
	}
	if r.engine.hasVolume(volume) {
		t.Error("it does not go with the one that has it now")
	}
}

// What is noted for a successor is no rubbish as long as its project is there, and
// the note goes once the successor has it, whoever died in between.
func TestANoteOfALeftVolumeLastsAsLongAsItIsTrue(t *testing.T) {
	r := newRig(t)
	b := shell("web-1", ready)
	b.Project, b.Log.Replica = "shop", "web-1"
	b.Mounts = []spec.Mount{{Type: spec.MountVolume, Target: "/anonymous"}}
	neighbour := shell("db-1", ready)
	neighbour.Project = "shop"
	r.create(neighbour)
	id := r.create(b)
	name := r.status(id).Volumes["/anonymous"]
	l, err := r.engine.life(id)
	if err != nil {
		t.Fatal(err)
	}
	r.engine.leaveVolumes(&l.rec, true)
	r.reopen()
	if r.engine.isLeft(name) {
		t.Error("its container is there, and it is still left for one")
	}
	if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true, KeepLog: true}); err != nil {
		t.Fatal(err)
	}
	if gone, errs, err := r.engine.PruneVolumes(t.Context(), func(spec.Volume) bool { return true }); err != nil || len(gone)+len(errs) > 0 {
		t.Errorf("pruned are %v, %v, %v", gone, errs, err)
	}
	if !r.engine.hasVolume(name) {
		t.Error("the volume is gone")
	}
}
