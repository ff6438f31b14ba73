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
