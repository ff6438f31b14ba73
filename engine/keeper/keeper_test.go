package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

func TestTheFirstRestartIsAtOnceAndTheNextWaitLonger(t *testing.T) {
	want := []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}
	for quick, pause := range want {
		if got := restartPause(quick); got != pause {
			t.Errorf("after %d quick ends: %s, want %s", quick, got, pause)
		}
	}
	if got := restartPause(1000); got != longestPause {
		t.Errorf("after many: %s", got)
	}
}

func TestAListOfManySocketsComesInPages(t *testing.T) {
	k := newKept()
	defer k.closeAll()
	const count = wire.MaxFiles + 20
	for i := range count {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		name := wire.KeeperSocket{Container: fmt.Sprintf("%04d", i), Name: "x"}
		if err := k.keep(wire.KeeperSockets{Sockets: []wire.KeeperSocket{name}}, []*os.File{null}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[wire.KeeperSocket]bool{}
	var in wire.KeeperListRequest
	for {
		answer, files, err := k.list(in)
		if err != nil || len(files) != len(answer.Sockets) {
			t.Fatalf("%d files for %d names, %v", len(files), len(answer.Sockets), err)
		}
		closeFiles(files)
		for _, name := range answer.Sockets {
			seen[name] = true
		}
		if !answer.More {
			break
		}
		in.After = &answer.Sockets[len(answer.Sockets)-1]
	}
	if len(seen) != count {
		t.Errorf("%d of %d", len(seen), count)
	}
	if err := k.keep(wire.KeeperSockets{Sockets: make([]wire.KeeperSocket, 2)}, nil); err == nil {
		t.Error("names without descriptors were taken")
	}
}

func TestCgroupRootsAreFoundInMountinfo(t *testing.T) {
	got := parseCgroupRoots(`25 24 0:22 / /proc rw,nosuid - proc proc rw
30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw
31 24 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
32 24 0:28 / /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup ro,cpu
`)
	want := []cgroupRoot{{"/sys/fs/cgroup/unified", true}, {"/sys/fs/cgroup/memory", false}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// holder is a process that holds the daemon's lock, and is nobody's daemon.
func holder(t *testing.T, place folder.Place) *exec.Cmd {
	t.Helper()
	lock, err := folder.TryLockFile(place.DaemonLock(), folder.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.File().Close()
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles = []*os.File{lock.File()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place.DaemonLock(), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A daemon that took the lock before ours is nobody's child here: it is ended too.
func TestAStoppingKeeperEndsWhoHoldsTheDaemonsLock(t *testing.T) {
	place := folder.Place{Run: t.TempDir()}
	cmd := holder(t, place)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	(&Keeper{place: place, logf: t.Logf}).endHolder()
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("%v", err)
	}
}

// One that is told to stop when its daemon has just ended says so, too: monitors
// that find nobody would bring another keeper.
func TestAStopAfterTheDaemonsEndIsWritten(t *testing.T) {
	k := New(folder.Place{Run: t.TempDir()}, nil, nil, t.Logf)
	cmd := holder(t, k.place)
	left := make(chan struct{})
	go func() {
		defer close(left)
		k.tendDaemon()
	}()
	kerneltest.Eventually(t, time.Minute, func() error {
		if k.status().DaemonPID != cmd.Process.Pid {
			return errors.New("it watches no daemon")
		}
		return nil
	})
	k.mu.Lock() // so that it notes the end after the stop
	d := k.daemon
	err := cmd.Process.Kill()
	_ = cmd.Wait() // killed
	<-d.Ended()
	k.Stop()
	k.mu.Unlock()
	<-left
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(k.place.Stopped()); err != nil {
		t.Errorf("the stop is not written: %v", err)
	}
}
