package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mountedBelow are the mounts of this machine below a folder.
func mountedBelow(t *testing.T, folder string) (points []string) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], folder+"/") {
			points = append(points, fields[4])
		}
	}
	return points
}

// A volume with a file system of its own is mounted while a service uses it, is one
// over a killed daemon, and leaves no mount.
func TestAVolumeWithAFileSystemOfItsOwn(t *testing.T) {
	h := newHost(t)
	h.busybox()
	volumes := filepath.Join(h.state, "volumes")
	mounts := func(when string, want int) {
		t.Helper()
		if points := mountedBelow(t, volumes); len(points) != want {
			t.Errorf("%s: mounted are %v", when, points)
		}
	}
	dir := h.keys("fs", `
services:
  one: {<<: *base, volumes: ["mem:/data"]}
  two: {<<: *base, volumes: ["mem:/data:ro"]}
  three: {<<: *base, volumes_from: [one]}
volumes:
  mem: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: "size=1m,mode=0750,uid=7"}}
`, nil)
	mounts("up", 1)
	h.looks(dir, []look{
		{"o", "one", "df -k /data | tail -1 | awk '{print $2}'; stat -c '%a %u' /data; echo mine > /data/mine", "1024 750 7"},
		{"a reader", "two", "cat /data/mine; touch /data/x 2>/dev/null || echo sealed", "mine sealed"},
		{"volumes_from", "three", "cat /data/mine", "mine"},
	})
	if got := h.must("", "volume", "inspect", "fs_mem"); !strings.Contains(got, `"type": "tmpfs"`) || !strings.Contains(got, volumes+"/fs_mem/_data") {
		t.Errorf("volume inspect shows %s", got)
	}
	if raw, err := os.ReadFile(filepath.Join(volumes, "fs_mem/_data/mine")); err != nil || string(raw) != "mine\n" {
		t.Errorf("on the host: %q, %v", raw, err)
	}
	h.must(dir, "restart", "one")
	h.must(dir, "stop", "two", "three")
	if !h.killDaemon() {
		t.Fatal("there is no daemon")
	}
	h.must(dir, "start", "two")
	h.looks(dir, []look{{"after a crash", "two", "cat /data/mine", "mine"}})
	mounts("after a crash", 1)
	if r := h.run("", "volume", "rm", "fs_mem"); r.code == 0 {
		t.Error("a volume in use was removed")
	}
	h.must(dir, "stop")
	mounts("stopped", 0)
	if r := h.run(dir, "cp", "one:/data/mine", filepath.Join(dir, "copy")); r.code == 0 || !strings.Contains(r.stderr, "not running") {
		t.Errorf("cp out of memory that nobody has: %d %s", r.code, r.stderr)
	}
	h.must(dir, "start")
	h.looks(dir, []look{{"started again", "one", "ls /data", ""}})
	h.must(dir, "down")
	mounts("down", 0)
	h.must(dir, "up", "-d")
	h.must(dir, "down", "-v")
	mounts("down -v", 0)
}

// What cannot be mounted is said with the volume's name and what to do.
func TestAVolumeThatCannotBeMounted(t *testing.T) {
	h := newHost(t)
	h.busybox()
	nfs := "this kernel has no file system nfs; load its module"
	if raw, err := os.ReadFile("/proc/filesystems"); err != nil || strings.Contains(string(raw), "\tnfs\n") {
		nfs = "the server of :/srv does not answer" // nothing listens there
	}
	for _, c := range []struct{ options, want string }{
		{`{type: nfs, device: ":/srv", o: "addr=127.0.0.1,nfsvers=4,port=9,soft"}`, nfs},
		{`{type: tmpfs, device: tmpfs, o: "size=1m,bogus=1"}`, "tmpfs does not take the mount option bogus"},
		{`{type: ext4, device: /dev/null}`, "/dev/null is no block device"},
	} {
		dir := h.project("refused", map[string]string{"compose.yaml": keyHead + fmt.Sprintf(`
services:
  a: {<<: *base, volumes: ["data:/data"]}
volumes: {data: {driver_opts: %s}}
`, c.options)})
		r := h.run(dir, "up", "-d", "-y")
		if r.code == 0 || want(r.stderr, c.want) != nil || want(r.stderr, "volume refused_data") != nil {
			t.Errorf("%s: exit code %d, want %q in:\n%s", c.options, r.code, c.want, r.stderr)
		}
		h.must(dir, "down", "-v")
	}
	if points := mountedBelow(t, h.state); len(points) > 0 {
		t.Errorf("mounted are %v", points)
	}
}
