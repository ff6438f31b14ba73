package cgroup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// newRoot returns a host and a name for groups that are removed at the end.
func newRoot(t *testing.T) (*Host, string) {
	t.Helper()
	kerneltest.NeedRoot(t)
	id := make([]byte, 4)
	rand.Read(id)
	tag := hex.EncodeToString(id)
	kerneltest.NoLeaks(t, tag)
	h, err := Discover()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cgroup %s: %v", h.Version(), h.Controllers())
	return h, "/mycompose-" + tag
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func create(t *testing.T, h *Host, name string, r spec.Resources) *Group {
	t.Helper()
	g, err := h.Create(name, r, DefaultDevices())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(deadline(t)); err != nil {
			t.Error(err)
		}
	})
	return g
}

// inside runs a script in the group; the script is stopped until it is moved.
func inside(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/bin/busybox", "sh", "-c", "read go; "+script)
	gate, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout = &strings.Builder{}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(command.Process.Pid); err != nil {
		t.Fatal(err)
	}
	gate.Write([]byte("go\n"))
	gate.Close()
	return command
}

func TestAGroupIsMadeTwiceListedAndRemovedTwice(t *testing.T) {
	h, root := newRoot(t)
	name := root + "/shop/web"
	g := create(t, h, name, spec.Resources{Memory: 64 << 20, Pids: 20})
	create(t, h, name, spec.Resources{Memory: 32 << 20, Pids: 10})
	create(t, h, root+"/shop/db", spec.Resources{})
	names, err := h.List(root)
	if err != nil || strings.Join(names, " ") != root+"/shop/db "+root+"/shop/web" && strings.Join(names, " ") != root+"/shop/web "+root+"/shop/db" {
		t.Errorf("%v, %v", names, err)
	}
	s, err := g.Stats()
	if err != nil || s.MemoryLimit != 32<<20 || s.PidsLimit != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	for range 2 {
		if err := g.Remove(deadline(t)); err != nil {
			t.Error(err)
		}
	}
	if g.Exists() {
		t.Error("it is still there")
	}
	if _, err := g.Stats(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stats of what is gone: %v", err)
	}
	if names, err := h.List("/mycompose-nonesuch"); len(names) > 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}

func TestGroupsOfOneParentComeAndGoAtOnce(t *testing.T) {
	h, root := newRoot(t)
	var all sync.WaitGroup
	for _, name := range []string{"/a", "/b", "/c", "/d"} {
		all.Go(func() {
			for range 50 {
				g, err := h.Create(root+"/project"+name, spec.Resources{}, DefaultDevices())
				if err != nil {
					t.Error(err)
					return
				}
				if err := g.Remove(deadline(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A project's folders whose maker was killed before it had filled them: no
// process could enter an empty cpuset, no v2 group below would have a limit.
func TestParentsLeftUnfinishedAreFinished(t *testing.T) {
	h, root := newRoot(t)
	for _, one := range h.hierarchies {
		if err := os.MkdirAll(path.Join(one.mount, root, "shop"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g := create(t, h, root+"/shop/web", spec.Resources{Pids: 3})
	if err := inside(t, g, "true").Wait(); err != nil {
		t.Error(err)
	}
	if s, err := g.Stats(); err != nil || s.PidsLimit != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestALimitCanBeRaisedAndLowered(t *testing.T) {
	h, root := newRoot(t)
	for _, memory := range []int64{64 << 20, 256 << 20, 32 << 20} {
		g := create(t, h, root+"/shop/web", spec.Resources{Memory: memory})
		if s, err := g.Stats(); err != nil || s.MemoryLimit != memory {
			t.Errorf("%d: %+v, %v", memory, s, err)
		}
	}
}

func TestAWrongLimitLeavesNoGroup(t *testing.T) {
	h, root := newRoot(t)
	_, err := h.Create(root+"/shop/web", spec.Resources{Cpuset: "4000"}, DefaultDevices())
	if !errors.Is(err, spec.ErrInvalid) || !strings.Contains(err.Error(), "cannot set cpuset to 4000") {
		t.Errorf("%v", err)
	}
	if h.Group(root + "/shop/web").Exists() {
		t.Error("it was left")
	}
}

func TestEveryProcessIsKilledAlsoWhileItForks(t *testing.T) {
	h, root := newRoot(t)
	g := create(t, h, root+"/shop/web", spec.Resources{Pids: 50})
	command := inside(t, g, "f() { (f) & (f) & wait; }; while true; do f 2>/dev/null; done")
	kerneltest.Eventually(t, time.Minute, func() error {
		pids, err := g.PIDs()
		if len(pids) < 10 {
			return errors.New("too few processes")
		}
		return err
	})
	if err := g.Kill(deadline(t)); err != nil {
		t.Error(err)
	}
	command.Wait()
}

func TestKillOnAFrozenGroup(t *testing.T) {
	h, root := newRoot(t)
	g := create(t, h, root+"/shop/web", spec.Resources{})
	command := inside(t, g, "sleep 1000 & sleep 1000")
	if err := g.Freeze(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(deadline(t)); err != nil {
		t.Error(err)
	}
	command.Wait()
	if status := command.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != unix.SIGKILL {
		t.Errorf("%v", command.ProcessState)
	}
}

// Each way of killing is forced, whatever this machine would choose.
func TestKillWithoutV2AndWithoutAFreezer(t *testing.T) {
	h, root := newRoot(t)
	for name, keep := range map[string]func(hierarchy) bool{
		"without v2":                  func(one hierarchy) bool { return !one.v2 },
		"with neither v2 nor freezer": func(one hierarchy) bool { return !one.v2 && !one.has("freezer") },
	} {
		t.Run(name, func(t *testing.T) {
			some := &Host{}
			for _, one := range h.hierarchies {
				if keep(one) {
					some.hierarchies = append(some.hierarchies, one)
				}
			}
			kerneltest.NeedFeature(t, "cgroup v1 controllers", len(some.hierarchies) > 0)
			g := create(t, some, root+"/shop/web", spec.Resources{})
			command := inside(t, g, "sleep 1000 & sleep 1000 & sleep 1000")
			if err := g.Kill(deadline(t)); err != nil {
				t.Error(err)
			}
			command.Wait()
		})
	}
}

func TestFrozenProcessesStandStill(t *testing.T) {
	h, root := newRoot(t)
	g := create(t, h, root+"/shop/web", spec.Resources{})
	file := path.Join(t.TempDir(), "ticks")
	command := inside(t, g, "while true; do echo >> "+file+"; done")
	size := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		if size() == 0 {
			return errors.New("it has not begun")
		}
		return nil
	})
	if err := g.Freeze(deadline(t)); err != nil {
		t.Fatal(err)
	}
	before := size()
	time.Sleep(50 * time.Millisecond) // it must not get on in any time
	if after := size(); after != before {
		t.Errorf("from %d to %d bytes while frozen", before, after)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		if size() == before {
			return errors.New("it does not go on")
		}
		return nil
	})
	if err := g.Kill(deadline(t)); err != nil {
		t.Error(err)
	}
	command.Wait()
}

func TestRunningOutOfMemoryIsCounted(t *testing.T) {
	h, root := newRoot(t)
	g := create(t, h, root+"/shop/web", spec.Resources{Memory: 16 << 20, MemorySwap: 16 << 20})
	counterFile, err := g.OOMFile()
	if err != nil || counterFile == nil {
		t.Fatal(counterFile, err)
	}
	defer counterFile.Close()
	command := inside(t, g, "dd if=/dev/zero of=/dev/null bs=64M count=1")
	command.Wait()
	n, err := OOMKills(counterFile)
	if err != nil || n == 0 {
		t.Errorf("%d kills, %v", n, err)
	}
}

func TestPidsAreLimited(t *testing.T) {
	h, root := newRoot(t)
	g := create(t, h, root+"/shop/web", spec.Resources{Pids: 3})
	command := inside(t, g, "for i in 1 2 3 4 5 6; do sleep 1000 > /dev/null & done")
	if err := command.Wait(); err == nil {
		t.Error("seven processes run where three may")
	}
	if pids, err := g.PIDs(); len(pids) != 2 || err != nil {
		t.Errorf("left are %v, %v", pids, err)
	}
}

// The BPF program works on v2 also where v2 holds no controller.
func TestDevicesAreDeniedOnV2(t *testing.T) {
	h, root := newRoot(t)
	v2, ok := h.unified()
	kerneltest.NeedFeature(t, "cgroup v2", ok)
	v2.controllers = nil
	g := create(t, &Host{[]hierarchy{v2}}, root+"/shop/web", spec.Resources{})
	node := path.Join(t.TempDir(), "node")
	command := inside(t, g, `
		for n in "c 1 3" "c 1 11" "c 1 5" "b 8 0"; do
			rm -f `+node+`; mknod `+node+` $n && (: < `+node+`) 2>/dev/null && echo "$n opens"
		done`)
	command.Wait()
	if out := command.Stdout.(*strings.Builder).String(); out != "c 1 3 opens\nc 1 5 opens\n" {
		t.Errorf("%q", out)
	}
}

// A delegated group that holds processes hands controllers on only after they
// have moved to a leaf. hugetlb is the controller that v2 holds even beside v1.
func TestProcessesMoveToALeafWhereTheirGroupHandsControllersOn(t *testing.T) {
	h, root := newRoot(t)
	v2, ok := h.unified()
	kerneltest.NeedFeature(t, "cgroup v2 with hugetlb", ok && v2.has("hugetlb"))
	control := path.Join(v2.mount, "cgroup.subtree_control")
	before, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), "hugetlb") {
		defer func() {
			if err := write(control, "-hugetlb"); err != nil {
				t.Error(err)
			}
		}()
	}
	if err := handOn(v2.mount, []string{"hugetlb"}); err != nil {
		t.Fatal(err)
	}
	alone := &Host{[]hierarchy{v2}}
	g := create(t, alone, root, spec.Resources{})
	defer g.Remove(deadline(t))
	command := inside(t, g, "sleep 1000")
	for range 2 {
		if err := handOn(g.dir(v2), []string{"hugetlb", "nonesuch"}); err != nil {
			t.Fatal(err)
		}
	}
	pids, err := alone.Group(root + "/" + leaf).PIDs()
	if err != nil || len(pids) != 1 || pids[0] != command.Process.Pid {
		t.Errorf("in the leaf: %v, %v", pids, err)
	}
	child := create(t, alone, root+"/child", spec.Resources{})
	data, err := os.ReadFile(path.Join(child.dir(v2), "cgroup.controllers"))
	if err != nil || !strings.Contains(string(data), "hugetlb") {
		t.Errorf("the child has %q, %v", data, err)
	}
	if err := g.Kill(deadline(t)); err != nil {
		t.Error(err)
	}
	command.Wait()
}
