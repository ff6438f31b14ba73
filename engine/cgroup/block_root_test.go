package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// loopDevice is one with 16 MiB of nothing behind it.
func loopDevice(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
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

// fileOf reads a group's file of v1 or of v2, whichever this host has.
func fileOf(t *testing.T, g *Group, v1, v2 string) string {
	t.Helper()
	controller, name := "blkio", v1
	if g.host.isV2("io") {
		controller, name = "io", v2
	}
	h, ok := g.host.with(controller)
	if !ok {
		t.Fatalf("this host has no controller %s", controller)
	}
	data, err := os.ReadFile(path.Join(g.dir(h), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A write at 1 MiB a second cannot be over sooner, however fast the machine is: two
// MiB past the page cache take a second at least, with what the kernel lets through
// at once.
func TestAWriteIsSlowedDown(t *testing.T) {
	h, root := newRoot(t)
	device := loopDevice(t)
	number, err := DeviceNumber(device)
	if err != nil {
		t.Fatal(err)
	}
	disk := spec.BlockDevice{Path: device, WriteBPS: 1 << 20, ReadBPS: 2 << 20, ReadIOPS: 300, WriteIOPS: 400}
	limits := spec.Resources{BlockIO: spec.BlockIO{Devices: []spec.BlockDevice{disk}}}
	g, err := h.Create(root+"/shop/web", limits, AllDevices())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(deadline(t)); err != nil {
			t.Error(err)
		}
	})
	for v1, want := range map[string]string{"write_bps": "1048576", "read_bps": "2097152", "read_iops": "300", "write_iops": "400"} {
		if got := fileOf(t, g, "blkio.throttle."+v1+"_device", "io.max"); !strings.Contains(got, number+" ") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s", v1, got, want)
		}
	}
	began := time.Now()
	command := inside(t, g, "exec "+kerneltest.NeedProgram(t, "dd")+" if=/dev/zero of="+device+" bs=64k count=32 oflag=direct 2>&1")
	if err := command.Wait(); err != nil {
		t.Fatalf("%v: %s", err, command.Stdout)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("2 MiB at 1 MiB a second took %v", took)
	}
}

func TestAWeightIsSet(t *testing.T) {
	h, root := newRoot(t)
	g, err := h.Create(root+"/shop/web", spec.Resources{BlockIO: spec.BlockIO{Weight: 300}}, DefaultDevices())
	if spec.Code(err) == "unavailable" && strings.Contains(err.Error(), "this kernel weighs no devices") {
		t.Skip(err) // said in words, as it must be
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(deadline(t)); err != nil {
			t.Error(err)
		}
	})
	v2, want := "io.bfq.weight", "300"
	if one, ok := h.with("io"); ok {
		if _, err := os.Stat(path.Join(g.dir(one), v2)); err != nil {
			v2, want = "io.weight", "2930" // without bfq
		}
	}
	if got := fileOf(t, g, "blkio.bfq.weight", v2); !strings.Contains(got, want) {
		t.Errorf("weight %q, want %s", got, want)
	}
}

// The weight of one device is for a scheduler that weighs; where none does it is
// refused in words.
func TestAWeightOfOneDevice(t *testing.T) {
	h, root := newRoot(t)
	device := loopDevice(t)
	scheduler := path.Join("/sys/block", path.Base(device), "queue/scheduler")
	choose := func(name string) error { return os.WriteFile(scheduler, []byte(name), 0o200) }
	if err := choose("none"); err != nil {
		t.Fatal(err)
	}
	weighed := spec.Resources{BlockIO: spec.BlockIO{Devices: []spec.BlockDevice{{Path: device, Weight: 200}}}}
	_, err := h.Create(root+"/shop/none", weighed, DefaultDevices())
	if err == nil || spec.Code(err) != "unavailable" || !strings.Contains(err.Error(), "blkio weight of "+device) {
		t.Errorf("without a scheduler: %v", err)
	}
	if h.Group(root + "/shop/none").Exists() {
		t.Error("half a group is left")
	}
	if err := choose("bfq"); err != nil {
		t.Logf("this kernel has no bfq: %v", err)
		return
	}
	defer choose("none")
	g := create(t, h, root+"/shop/web", weighed)
	number, err := DeviceNumber(device)
	if err != nil {
		t.Fatal(err)
	}
	if got := fileOf(t, g, "blkio.bfq.weight_device", "io.bfq.weight"); !strings.Contains(got, number+" 200") {
		t.Errorf("weights %q", got)
	}
}

func TestWhatIsNoWholeDeviceIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{file: spec.ErrInvalid, "/dev/null": spec.ErrInvalid, "/dev/nosuchdevice": spec.ErrNotFound} {
		if number, err := DeviceNumber(name); !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %q, %v", name, number, err)
		}
	}
}
