package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/volume"
)

// fileSystem makes a volume of a file system. What a failed test leaves mounted goes.
func (r *rig) fileSystem(name string, options map[string]string) {
	r.t.Helper()
	if _, err := r.engine.CreateVolume(r.t.Context(), spec.Volume{Name: name, Options: options}); err != nil {
		r.t.Fatal(err)
	}
	dir := r.engine.volumeDir(name)
	r.t.Cleanup(func() {
		if err := volume.Unmount(dir); err != nil {
			r.t.Error(err)
		}
	})
}

func (r *rig) mounted(name, when string, want bool) {
	r.t.Helper()
	if on, err := volume.Mounted(r.engine.volumeDir(name)); err != nil || on != want {
		r.t.Errorf("%s: %s is mounted: %v, %v", when, name, on, err)
	}
}

// using is a container that runs with a volume on /data.
func using(name, volumeName, script string) spec.Blueprint {
	b := shell(name, script)
	b.Mounts = []spec.Mount{{Type: spec.MountVolume, Source: volumeName, Target: "/data"}}
	return b
}

func (r *rig) says(id, script, want string) {
	r.t.Helper()
	if out, code := r.run(id, script); code != 0 || strings.Join(strings.Fields(out), " ") != want {
		r.t.Errorf("%s says %q (%d), want %q", script, out, code, want)
	}
}

func memory(o string) map[string]string {
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": o}
}

// loopDisk is an ext4 of its own.
func loopDisk(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(kerneltest.NeedProgram(t, "mkfs.ext4"), "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(kerneltest.NeedProgram(t, "losetup"), "-f", "--show", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", device).CombinedOutput(); err != nil {
			t.Errorf("%s is left: %s", device, out)
		}
	})
	return device
}

// A volume in memory is one for all who have it, lives as long as one of them is
// up, over a crash of the daemon too, and is gone after the last.
func TestAVolumeInMemoryLivesWithItsContainers(t *testing.T) {
	r := newRig(t)
	r.fileSystem("mem", memory("size=1m,mode=0750,uid=7"))
	r.mounted("mem", "made", false)
	one := r.start(using("one", "mem", forever))
	r.says(one, "stat -c '%a %u' /data; df -k /data | tail -1 | awk '{print $2}'; cat /data/sub/from-image", "750 7 1024 image")
	r.says(one, "echo mine > /data/mine", "")
	two := r.start(using("two", "mem", forever))
	r.says(two, "cat /data/mine", "mine")
	r.stop(one)
	r.mounted("mem", "one of two is up", true)
	r.reopen()
	r.mounted("mem", "after a crash", true)
	if err := r.engine.StartContainer(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	r.says(one, "cat /data/mine", "mine")
	if err := r.engine.StopContainer(t.Context(), two, spec.Stop{}); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StopContainer(t.Context(), one, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StartContainer(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	r.says(one, "cat /data/mine", "mine") // restarted in place
	r.stop(one)
	r.mounted("mem", "nobody is up", false)
	if err := r.engine.StartContainer(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	r.says(one, "ls /data", "sub")
	r.stop(one)
}

// A file system on a device keeps its content; it is reached while its container
// does not run, and neither removal nor a prune takes what is on it.
func TestAVolumeOnADevice(t *testing.T) {
	r := newRig(t)
	disk := map[string]string{"type": "ext4", "device": loopDisk(t), "o": "noatime"}
	r.fileSystem("disk", disk)
	id := r.create(using("one", "disk", "cat /data/put; ls /data; mkdir /data/sub; echo kept > /data/sub/kept"))
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "put", Mode: 0o644, Size: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("put\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.UnpackFiles(t.Context(), id, "/data", &archive); err != nil {
		t.Fatal(err)
	}
	r.mounted("disk", "after a copy into an idle container", false)
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.wait(id, spec.UntilExited)
	// Not empty, by lost+found: nothing of the image is there.
	if got := strings.Join(r.lines(id), "|"); got != "out put|out lost+found|out put" {
		t.Errorf("holds %s", got)
	}
	r.mounted("disk", "ended", false)
	if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{}); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.RemoveVolume(t.Context(), "disk"); err != nil {
		t.Fatal(err)
	}
	disk["o"] = "ro"
	r.fileSystem("again", disk)
	part := using("two", "again", "cat /data/kept; touch /data/new 2>/dev/null || echo sealed")
	part.Mounts[0].Subpath = "sub"
	id = r.start(part)
	r.wait(id, spec.UntilExited)
	if got := strings.Join(r.lines(id), "|"); got != "out kept|out sealed" {
		t.Errorf("holds %s", got)
	}
}

func TestAVolumeThatCannotBeMounted(t *testing.T) {
	r := newRig(t)
	r.fileSystem("nowhere", map[string]string{"type": "nosuchfs", "device": "x"})
	r.fileSystem("wrong", memory("bogus"))
	r.fileSystem("unknown", map[string]string{"type": "nfs", "device": ":/srv", "o": "addr=nosuchhost.invalid"})
	for name, want := range map[string]string{
		"nowhere": "this kernel has no file system nosuchfs", "wrong": "does not take the mount option bogus",
		"unknown": "there is no address of the server nosuchhost.invalid",
	} {
		id := r.create(using(name, name, forever))
		err := r.engine.StartContainer(t.Context(), id)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "volume "+name) {
			t.Errorf("%s: %v", name, err)
		}
		r.mounted(name, "refused", false)
	}
	r.fileSystem("mem", memory(""))
	id := r.create(using("idle", "mem", forever))
	var out bytes.Buffer
	if err := r.engine.PackFiles(t.Context(), id, "/data", false, &out); !errors.Is(err, spec.ErrNotRunning) {
		t.Errorf("a copy out of memory that nobody has: %v", err)
	}
}

// What a killed daemon left mounted goes at the start of the next.
func TestMountsOfNobodyAreCollected(t *testing.T) {
	r := newRig(t)
	r.fileSystem("mem", memory(""))
	if err := volume.Mount(r.engine.volumeDir("mem"), volume.FileSystem{Type: "tmpfs", Device: "tmpfs"}); err != nil {
		t.Fatal(err)
	}
	half := r.engine.volumeDir("half") // without a record
	if err := volume.Create(half, ""); err != nil {
		t.Fatal(err)
	}
	if err := volume.Mount(half, volume.FileSystem{Type: "tmpfs", Device: "tmpfs"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := volume.Unmount(half); err != nil {
			t.Error(err)
		}
	})
	r.reopen()
	r.mounted("mem", "collected", false)
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("half a volume is left: %v", err)
	}
}
