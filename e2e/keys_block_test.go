package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// loopDevice is one with 16 MiB of nothing behind it.
func loopDevice(t *testing.T) string {
	t.Helper()
	image := filepath.Join(tempDir(t), "image")
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

// What blkio_config says is what the container's control group has; a change makes
// the container anew, and says why.
func TestKeysOfBlockDevices(t *testing.T) {
	h := newHost(t)
	h.busybox()
	device := loopDevice(t)
	file := func(rate string) string {
		return keyHead + fmt.Sprintf(`
services:
  slow:
    <<: *base
    blkio_config:
      device_write_bps: [{path: %[1]s, rate: %[2]s}]
      device_read_iops: [{path: %[1]s, rate: 30}]
`, device, rate)
	}
	dir := h.project("block", map[string]string{"compose.yaml": file("3m")})
	h.must(dir, "up", "-d")
	const looks = "cd /sys/fs/cgroup; if test -e blkio; then cat blkio/blkio.throttle.write_bps_device blkio/blkio.throttle.read_iops_device | cut -d' ' -f2; " +
		"else tr ' ' '\\n' <io.max | sed -n 's/^wbps=//p; s/^riops=//p'; fi"
	h.looks(dir, []look{{"blkio_config", "slow", looks, "3145728 30"}})
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file("4m")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := h.run(dir, "up", "-d", "--dry-run"); !strings.Contains(r.stdout+r.stderr, "blkio_config.devices") {
		t.Errorf("the plan names no cause: %s%s", r.stdout, r.stderr)
	}
	h.must(dir, "up", "-d")
	h.looks(dir, []look{{"blkio_config", "slow", looks, "4194304 30"}})
	for path, text := range map[string]string{
		"/dev/nosuchdevice": "compose.yaml:12:33: service slow limits a device: there is no /dev/nosuchdevice",
		"/dev/null":         "compose.yaml:12:33: service slow limits a device: /dev/null is no block device",
	} {
		wrong := strings.ReplaceAll(file("3m"), device, path)
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := h.run(dir, "up", "-d"); r.code == 0 || want(r.stderr, text) != nil {
			t.Errorf("%s: exit code %d, want %q in:\n%s", path, r.code, text, r.stderr)
		}
	}
}
