package spawn_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
)

// again is c, whose program has been started with Kind container and runs, ended
// and started again in its namespaces with another script.
func (c *container) again(script string) *container {
	c.Helper()
	next := *c
	r := *c.recipe
	r.Kind, r.Root, r.Mounts, r.CgroupMounts = recipe.KindAgain, recipe.None, nil, nil
	r.Namespaces = recipe.Namespaces{Network: r.Namespaces.Network, PID: true}
	for _, kind := range []string{"cgroup", "ipc", "uts", "mnt"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", c.process.PID, kind))
		c.must(err)
		r.Namespaces.Join = append(r.Namespaces.Join, recipe.Join{Type: kind, File: next.add(f)})
	}
	c.must(unix.PidfdSendSignal(int(c.process.PIDFD.Fd()), unix.SIGKILL, nil, 0))
	c.wait()
	r.Process.Args = []string{"sh", "-c", script}
	next.recipe, next.process, next.out, next.copied = &r, nil, &bytes.Buffer{}, make(chan struct{})
	c.must(c.confiner.Apply(&r, next.policy))
	outside := func(name string) bool { return !strings.HasPrefix(name, "/proc/") }
	r.MaskedPaths = slices.DeleteFunc(r.MaskedPaths, outside)
	r.ReadonlyPaths = slices.DeleteFunc(r.ReadonlyPaths, outside)
	var err error
	next.process, err = next.spawn(&r, next.files)
	c.must(err)
	c.files = next.files // closed with c
	return &next
}

func TestAProgramIsStartedAgainWhereTheLastOneWas(t *testing.T) {
	b := newBox(t)
	const table = "readlink /proc/self/ns/mnt /proc/self/ns/uts; cut -d' ' -f2-4 /proc/mounts | sort; wc -c < /proc/keys; (echo > /proc/sys/kernel/hostname) 2>&1"
	c := b.prepare("sh", "-c", table+"; echo ready > /dev/shm/ready; sleep 1000")
	b.must(c.start())
	kerneltest.Eventually(t, time.Minute, func() error {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/shm/ready", c.process.PID))
		return err
	})
	next := c.again(table + "; cat /dev/shm/ready >&2; echo $$; ls -d /proc/[0-9]* | wc -l")
	if code := next.wait(); code != 0 {
		t.Errorf("code %d", code)
	}
	// ls and wc are beside the shell, or no more.
	before, after := c.out.String(), next.out.String()
	rest, ok := strings.CutPrefix(after, before)
	if !ok || !strings.HasPrefix(rest, "ready\n1\n") || len(strings.Fields(rest)) != 3 || len(strings.Fields(rest)[2]) != 1 {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A start that fails leaves no thread of ours where the last run was: what is
// mounted there ends with its last user.
func TestAStartInPlaceThatFailsLeavesNobodyThere(t *testing.T) {
	b := newBox(t)
	own, err := os.Readlink("/proc/self/ns/mnt")
	b.must(err)
	c := b.prepare("sleep", "1000")
	b.must(c.start())
	next := c.again("exit 0")
	next.wait()
	elsewhere := func() error {
		threads, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		for _, thread := range threads {
			if there, err := os.Readlink(thread); err == nil && there != own {
				return fmt.Errorf("%s is still %s", thread, there)
			}
		}
		return err
	}
	kerneltest.Eventually(t, time.Minute, elsewhere) // those of starts that succeeded end by themselves
	for range 100 {
		r := *next.recipe
		r.Process.Args = []string{"/nonesuch"}
		if _, err := next.spawner.Start(&r, next.files, spawn.Stdio{}); err == nil {
			t.Fatal("a program that is not there was started")
		}
		b.must(elsewhere())
	}
}
