package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestNamedVolumeTakesTheImagesContentOnce(t *testing.T) {
	r := newRig(t)
	if _, err := r.engine.CreateVolume(t.Context(), spec.Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	mount := []spec.Mount{{Type: spec.MountVolume, Source: "data", Target: "/data"}}
	b := shell("one", "stat -c '%a %u %g' /data/sub/from-image /data; echo mine > /data/sub/from-image; rm -r /data/sub/gone 2>/dev/null; echo x > /data/new")
	b.Mounts = mount
	id := r.start(b)
	if s := r.wait(id, spec.UntilExited); s.Volumes["/data"] != "data" {
		t.Errorf("volumes %v", s.Volumes)
	}
	if got := strings.Join(r.lines(id), "|"); got != "out 640 1000 44|out 755 1000 1000" {
		t.Errorf("owners and modes: %s", got)
	}
	b = shell("two", "cat /data/sub/from-image /data/new")
	b.Mounts = mount
	id = r.start(b)
	r.wait(id, spec.UntilExited)
	if got := strings.Join(r.lines(id), "|"); got != "out mine|out x" {
		t.Errorf("second container sees %s", got)
	}
	if err := r.engine.RemoveVolume(t.Context(), "data"); !errors.Is(err, spec.ErrInUse) {
		t.Errorf("removal of a used volume: %v", err)
	}
	r.reopen()
	for _, name := range []string{"one", "two"} {
		c, err := r.engine.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.engine.RemoveContainer(t.Context(), c.Blueprint.ID, spec.Remove{Volumes: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.engine.RemoveVolume(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.engine.volumeDir("data")); !os.IsNotExist(err) {
		t.Errorf("folder is left: %v", err)
	}
}

func TestAnonymousVolumesOfTheImageGoWithTheContainer(t *testing.T) {
	r := newRig(t)
	config := dockerspec.DockerOCIImageConfig{}
	config.Volumes = map[string]struct{}{"/data": {}}
	r.putImage(config)
	id := r.start(shell("one", "echo x > /data/x"))
	r.wait(id, spec.UntilExited)
	name := r.status(id).Volumes["/data"]
	if len(name) != 64 {
		t.Fatalf("volume %q", name)
	}
	kept := shell("two", "cat /data/x")
	kept.Mounts = []spec.Mount{{Type: spec.MountVolume, Source: name, Target: "/data"}}
	next := r.start(kept)
	if s := r.wait(next, spec.UntilExited); s.ExitCode != 0 {
		t.Errorf("status %+v", s)
	}
	remove := func(id string) {
		if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Volumes: true}); err != nil {
			t.Fatal(err)
		}
	}
	remove(id)
	if !r.engine.hasVolume(name) {
		t.Fatal("a volume that another container took over is gone")
	}
	if err := r.engine.RemoveVolume(t.Context(), name); !errors.Is(err, spec.ErrInUse) {
		t.Errorf("got %v", err)
	}
	remove(next)
	if err := r.engine.RemoveVolume(t.Context(), name); err != nil {
		t.Error(err)
	}
}

func TestBindsTmpfsAndFiles(t *testing.T) {
	r := newRig(t)
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "f"), []byte("from host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	digest, err := r.engine.PutContent([]byte("s3cret\n"))
	if err != nil {
		t.Fatal(err)
	}
	b := shell("one", "cat /bind/f; touch /ro/x 2>/dev/null && echo wrote; touch /bind/new; cat /run/secrets/s; stat -c '%a %u %g' /run/secrets/s; stat -f -c %T /run/secrets/s /scratch; ls /made")
	b.Mounts = []spec.Mount{
		{Type: spec.MountBind, Source: source, Target: "/bind"},
		{Type: spec.MountBind, Source: source, Target: "/ro", ReadOnly: true},
		{Type: spec.MountBind, Source: filepath.Join(source, "made"), Target: "/made", CreateHostPath: true},
		{Type: spec.MountTmpfs, Target: "/scratch", TmpfsSize: 1 << 20},
	}
	b.Files = []spec.File{{Digest: digest, Target: "/run/secrets/s", UID: 1000, GID: 44, Mode: 0o440, Secret: true}}
	id := r.start(b)
	r.wait(id, spec.UntilExited)
	if got := strings.Join(r.lines(id), "|"); got != "out from host|out s3cret|out 440 1000 44|out tmpfs|out tmpfs" {
		t.Errorf("got %s", got)
	}
	for _, name := range []string{"new", "made"} {
		if _, err := os.Stat(filepath.Join(source, name)); err != nil {
			t.Error(err)
		}
	}
	missing := shell("two", "true")
	missing.Mounts = []spec.Mount{{Type: spec.MountBind, Source: filepath.Join(source, "nothing"), Target: "/x"}}
	if errs := r.engine.Check(t.Context(), []spec.Blueprint{missing}, nil, nil); len(errs) != 1 || !strings.Contains(errs[0].Error(), "nothing") {
		t.Errorf("check says %v", errs)
	}
}

// Between the removal of a container and the making of its successor, the end of
// who borrows its anonymous volume does not take that along.
func TestABorrowerLeavesAVolumeToTheSuccessorOfItsOwner(t *testing.T) {
	r := newRig(t)
	owner := shell("owner", forever)
	owner.Mounts = []spec.Mount{{Type: spec.MountVolume, Target: "/data"}}
	id := r.create(owner)
	borrower := shell("borrower", forever)
	borrower.VolumesFrom = []spec.VolumesFrom{{Container: "owner"}}
	borrows := r.create(borrower)
	name := r.status(id).Volumes["/data"]
	remove := func(id string, how spec.Remove) {
		t.Helper()
		if err := r.engine.RemoveContainer(t.Context(), id, how); err != nil {
			t.Fatal(err)
		}
	}
	remove(id, spec.Remove{KeepLog: true})
	remove(borrows, spec.Remove{Volumes: true})
	owner.Mounts[0].Source = name
	successor := r.create(owner)
	remove(successor, spec.Remove{Volumes: true})
	if r.engine.hasVolume(name) {
		t.Error("the volume outlives the last container that has it")
	}
}
