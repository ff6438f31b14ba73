package spawn_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestAnUlimitAboveTheHardOneIsOneClearLine(t *testing.T) {
	b := newBox(t)
	caps := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	b.must(unix.Capget(&caps, &data[0]))
	c := b.prepare("true")
	c.recipe.Process.Rlimits = []recipe.Rlimit{{Type: "nproc", Soft: ^uint64(0), Hard: ^uint64(0)}, {Type: "nofile", Soft: 1 << 29, Hard: 1 << 29}}
	err := c.start()
	if data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		// With the right the first is granted, and the kernel's own bound
		// (fs.nr_open) may refuse the second.
		return
	}
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "needs CAP_SYS_RESOURCE, which this machine does not give") {
		t.Errorf("error %v", err)
	}
}

func TestPrivilegedIsWithoutLimitsOfOurs(t *testing.T) {
	b := newBox(t)
	b.policy = confine.Policy{Privileged: true}
	b.devices = cgroup.AllDevices()
	devices, err := rootfs.HostDevices()
	b.must(err)
	out, _ := b.sh(`
		grep -E 'Seccomp:|CapEff' /proc/self/status | tr -d '\t'
		mount -t tmpfs x /tmp && echo mounted
		[ -e /dev/kmsg ] && head -c 1 /dev/zero | wc -c
		echo 4096 > /proc/sys/kernel/msgmax && echo sysctl
		mkdir /sys/fs/cgroup/below && echo cgroup`,
		func(c *container) { c.recipe.Devices = devices })
	lines := strings.Split(out, "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "CapEff:000001f") || strings.Join(lines[1:], " ") != "Seccomp:0 mounted 1 sysctl cgroup " {
		t.Error(out)
	}
}

func TestOutOfMemoryEndsTheProgramAndIsCounted(t *testing.T) {
	b := newBox(t)
	b.limits = spec.Resources{Memory: 16 << 20, MemorySwap: 16 << 20}
	c := b.prepare("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
	f, err := c.group.OOMFile()
	b.must(err)
	defer f.Close()
	_, code := c.run()
	n, err := cgroup.OOMKills(f)
	if code != 137 || n == 0 || err != nil {
		t.Errorf("code %d, %d kills, %v", code, n, err)
	}
}

func TestAForkBombMeetsItsLimit(t *testing.T) {
	b := newBox(t)
	b.limits = spec.Resources{Pids: 30}
	c := b.prepare("sh", "-c", "f() { f | f & }; f; while true; do sleep 1 || exit 9; done")
	b.must(c.start())
	other := b.prepare("true")
	if _, code := other.run(); code != 0 {
		t.Errorf("a neighbour ends with %d", code)
	}
	if s, err := c.group.Stats(); err != nil || s.PidsLimit != 30 || s.Pids > 30 {
		t.Errorf("%+v, %v", s, err)
	}
}

// On v2 the stage is born in the group, and its own few threads count until
// the program is executed.
func TestALowPidsLimitIsEnoughToStart(t *testing.T) {
	b := newBox(t)
	b.limits = spec.Resources{Pids: 1}
	if b.host.Version() == "v2" {
		b.limits.Pids = 10
	}
	if out, code := b.prepare("echo", "alone").run(); out != "alone\n" || code != 0 {
		t.Errorf("%d %q", code, out)
	}
}

func TestTheHostsNetworkIsSharedOnlyIfAskedFor(t *testing.T) {
	b := newBox(t)
	host, err := os.Readlink("/proc/thread-self/ns/net")
	b.must(err)
	out, _ := b.sh("readlink /proc/self/ns/net", func(c *container) { c.recipe.Namespaces.Network = recipe.None })
	if out != host+"\n" {
		t.Errorf("%q, want %q", out, host)
	}
	if out, _ := b.sh("readlink /proc/self/ns/net"); out == host+"\n" {
		t.Error("the host's network is shared")
	}
}

func TestTheHostsSessionKeyringIsNotSeen(t *testing.T) {
	b := newBox(t)
	b.addProbe()
	b.policy = confine.Policy{Seccomp: "unconfined"}
	host, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
	kerneltest.NeedFeature(t, "keyrings", !errors.Is(err, unix.ENOSYS))
	b.must(err)
	out, _ := b.prepare("probe", "session-keyring").run()
	if strings.Contains(out, fmt.Sprint(host)) || !strings.HasPrefix(out, "session-keyring: ") || strings.Contains(out, "not") {
		t.Errorf("inside %s, host %d", out, host)
	}
}

func TestALargeEnvironmentGoesThrough(t *testing.T) {
	b := newBox(t)
	value := strings.Repeat("x", 120_000)
	c := b.prepare("sh", "-c", "echo ${#V0} ${#V7}")
	for i := range 8 {
		c.recipe.Process.Env = append(c.recipe.Process.Env, fmt.Sprintf("V%d=%s", i, value))
	}
	if out, _ := c.run(); out != "120000 120000\n" {
		t.Errorf("%.100q", out)
	}
}

func TestManyStartAtOnceAndNothingIsLeftOpen(t *testing.T) {
	b := newBox(t)
	b.prepare("true").run() // opens what stays open, like the poller
	before := openFiles(t)
	containers := make([]*container, 12)
	for i := range containers {
		containers[i] = b.prepare("sh", "-c", fmt.Sprintf("exit %d", i))
		b.must(b.confiner.Apply(containers[i].recipe, b.policy))
	}
	var group sync.WaitGroup
	codes := make([]int, len(containers))
	for i, c := range containers {
		group.Go(func() {
			p, err := b.spawner.Start(c.recipe, c.files, spawn.Stdio{})
			if err != nil {
				t.Errorf("container %d: %v", i, err)
				return
			}
			codes[i] = waitFor(t, p)
		})
	}
	group.Wait()
	for i, c := range containers {
		if codes[i] != i {
			t.Errorf("container %d ends with %d", i, codes[i])
		}
		close(c.copied)
		c.remove()
	}
	failing := b.prepare("/nonesuch")
	if err := failing.start(); err == nil {
		t.Error("it starts")
	}
	<-failing.copied
	failing.remove()
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestRecipesThatWouldTouchTheHostAreRefused(t *testing.T) {
	b := newBox(t)
	for name, change := range map[string]func(*container){
		"no mount namespace":         func(c *container) { c.recipe.Namespaces.Mount = false },
		"an exec that joins nothing": func(c *container) { c.recipe.Kind = recipe.KindExec },
		"a file that did not come":   func(c *container) { c.recipe.Root = 99 },
		"no root":                    func(c *container) { c.recipe.Root = recipe.None },
		"a mount without its file": func(c *container) {
			c.recipe.Mounts = []recipe.Mount{{Kind: recipe.MountTree, Target: "/x", File: recipe.None}}
		},
		"a mount over the root itself": func(c *container) { c.recipe.Mounts = []recipe.Mount{{Kind: recipe.MountTmpfs, Target: "/x/.."}} },
		"a recipe of another version":  func(c *container) { c.recipe.Version = 99 },
		"an unknown kind of mount":     func(c *container) { c.recipe.Mounts = []recipe.Mount{{Kind: "nfs", Target: "/x"}} },
		"a device outside of /dev":     func(c *container) { c.recipe.Devices = []recipe.Device{{Path: "/etc/x", Type: "c"}} },
	} {
		c := b.prepare("true")
		change(c)
		b.must(c.confiner.Apply(c.recipe, c.policy))
		p, err := b.spawner.Start(c.recipe, c.files, spawn.Stdio{})
		if err == nil {
			waitFor(t, p)
			t.Errorf("%s is no error", name)
		}
	}
}
