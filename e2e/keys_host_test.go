package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const hostKeys = `
services:
  inside:
    <<: *base
    pid: host
    ipc: host
    uts: host
  leaver:
    image: busybox
    command: ["sh", "-c", "sleep 1000 & echo left; exit 4"]
    pid: host
  named:
    <<: *base
    hostname: box
    domainname: example.test
    oom_score_adj: 500
    cpu_quota: 20000
    cpu_period: 50000
    label_file: ./labels
    labels: {second: own}
    env_file: [{path: raw.env, format: raw}]
    cap_add: [SYSLOG]
    devices: ["/dev/kmsg:/dev/klog:r", {source: /dev/zero, target: /dev/sub/nought}]
    ipc: shareable
    cgroup: private
    userns_mode: host
    runtime: runc
    platform: linux/%s
  onhost:
    <<: *base
    network_mode: host
  ruled:
    <<: *base
    cap_add: [SYSLOG]
    device_cgroup_rules: ["c 1:11 r"]
  plain:
    <<: *base
    cap_add: [SYSLOG]
  shown:
    <<: *base
    volumes: [shown:/shown, sealed:/sealed, fresh:/etc]
volumes:
  shown: {driver_opts: {type: none, o: bind, device: "%[2]s/shown"}}
  sealed: {driver_opts: {o: "bind,ro", device: "%[2]s/sealed"}}
  fresh: {driver: local, driver_opts: {type: none, o: bind, device: "%[2]s/fresh"}}
`

// What a service has in common with the host, looked at from inside.
func TestKeysOfTheHost(t *testing.T) {
	h := newHost(t)
	h.busybox()
	folders := tempDir(t)
	for _, name := range []string{"shown", "sealed", "fresh"} {
		if err := os.Mkdir(filepath.Join(folders, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folders, "shown/file"), []byte("theirs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var shm syscall.Stat_t
	if err := syscall.Stat("/dev/shm", &shm); err != nil {
		t.Fatal(err)
	}
	namespaces := ""
	for _, kind := range []string{"pid", "ipc", "uts"} {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		namespaces += link + " "
	}
	dir := h.keys("host", fmt.Sprintf(hostKeys, runtime.GOARCH, folders), map[string]string{
		"labels": "first=one\nsecond=two\n", "raw.env": "QUOTED=\"a $b\" # c\n",
	})
	const tries = ") 2>/dev/null && echo may || echo may not"
	h.looks(dir, []look{
		{"pid, ipc, uts", "inside", "cd /proc/self/ns; readlink pid; readlink ipc; readlink uts; hostname; stat -c %d /dev/shm", fmt.Sprint(namespaces, name, " ", shm.Dev)},
		{"network_mode: host", "onhost", "hostname; cat /etc/hostname; echo $HOSTNAME", name + " " + name + " " + name},
		{"domainname", "named", "cat /proc/sys/kernel/domainname; hostname; grep -c 'box.example.test.box$' /etc/hosts", "example.test box 1"},
		{"oom_score_adj", "named", "cat /proc/$p/oom_score_adj", "500"},
		{"cpu_quota", "named", "cd /sys/fs/cgroup; if test -e cpu; then cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us; else cat cpu.max; fi", "20000 50000"},
		{"env_file.format", "named", `echo "$QUOTED"`, `"a $b" # c`},
		{"devices", "named", "stat -c %t:%T /dev/klog; head -c 2 /dev/sub/nought | wc -c; (true </dev/klog" + tries + "; (true >/dev/klog" + tries, "1:b 2 may may not"},
		{"device_cgroup_rules", "ruled", "mknod /k c 1 11; (true </k" + tries, "may"},
		{"device_cgroup_rules (none given)", "plain", "mknod /k c 1 11; (true </k" + tries, "may not"},
		{"driver_opts", "shown", "cat /shown/file; touch /shown/ours; (touch /sealed/x" + tries, "theirs may not"},
	})
	for path, there := range map[string]bool{"shown/ours": true, "sealed/x": false, "fresh/passwd": true} {
		if _, err := os.Stat(filepath.Join(folders, path)); (err == nil) != there {
			t.Errorf("%s on the host: %v", path, err)
		}
	}
	labels := h.must(dir, "ps", "--format", "{{.Labels}}", "named")
	if !strings.Contains(labels, "first=one") || !strings.Contains(labels, "second=own") {
		t.Errorf("label_file: %s", labels)
	}
	h.eventually(func() error { return want(h.ps(dir)["host-leaver-1"].Status, "Exited (4)") })
	h.must(dir, "down", "-v", "-t", "0")
	if raw, err := os.ReadFile(filepath.Join(folders, "shown/file")); err != nil || string(raw) != "theirs\n" {
		t.Errorf("down -v took what the volume only shows: %q %v", raw, err)
	}
}

// up shows nothing of a service with attach: false, also when it knows the
// project already, unless it is asked to.
func TestUnattachedServicesAreNotShown(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("quiet", map[string]string{"compose.yaml": `
services:
  loud: {image: busybox, command: echo loud}
  quiet: {image: busybox, command: echo quiet, attach: false}
`})
	for _, c := range []struct {
		args        string
		loud, quiet bool
	}{{"up", true, false}, {"up", true, false}, {"up --force-recreate --attach quiet", false, true}} {
		r := h.run(dir, strings.Fields(c.args)...)
		if r.code != 0 || strings.Contains(r.stdout, "loud\n") != c.loud || strings.Contains(r.stdout, "quiet\n") != c.quiet {
			t.Errorf("%s: %d\n%s%s", c.args, r.code, r.stdout, r.stderr)
		}
	}
}
