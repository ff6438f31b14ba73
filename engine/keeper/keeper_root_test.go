package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/keeper"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// house is a state folder with the programs that run in it.
type house struct {
	*testing.T
	place    folder.Place
	small    *os.File
	one, two *os.File // two builds of the daemon
	dir      string   // where they lie
}

func newHouse(t *testing.T) *house {
	t.Helper()
	kerneltest.NeedRoot(t)
	dir := t.TempDir()
	place, err := store.Locate(filepath.Join(dir, "state"), filepath.Join(dir, "run"))
	h := &house{T: t, place: place, dir: dir}
	h.must(err)
	kerneltest.NoLeaks(t, place.Tag)
	_, err = store.Open(place)
	h.must(err)
	h.small = h.build(dir, "small", "cmd/small", "")
	h.one = h.build(dir, "one", "engine/keeper/testdata/daemon", "one")
	h.two = h.build(dir, "two", "engine/keeper/testdata/daemon", "two")
	t.Cleanup(h.stop)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) build(dir, name, source, version string) *os.File {
	h.Helper()
	path := filepath.Join(dir, name)
	h.must(kerneltest.Build(path, source, version))
	program, err := os.ReadFile(path)
	h.must(err)
	file, err := wire.SealProgram(bytes.NewReader(program), dir)
	h.must(err)
	h.Cleanup(func() { file.Close() })
	return file
}

// ensure does what a command does, or what a monitor does.
func (h *house) ensure(command bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cfg := wire.KeeperConfig{Place: h.place, Binary: h.one, Small: h.small, Command: command}
	if command {
		cfg.Start = keeper.Start
	}
	return wire.EnsureKeeper(ctx, cfg)
}

// call asks the keeper on a connection of its own.
func (h *house) call(kind string, in, out any, files ...*os.File) ([]*os.File, error) {
	conn, err := wire.Dial(h.place.KeeperSocket())
	if err != nil {
		return nil, err
	}
	peer := wire.NewPeer(conn, func(context.Context, *wire.Request) (wire.Reply, error) {
		return wire.Reply{}, errors.New("no calls here")
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = peer.Serve(context.Background())
	}()
	defer func() { peer.Close(); <-done }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return peer.Call(ctx, kind, in, out, files...)
}

func (h *house) stop() {
	if _, err := os.Lstat(h.place.KeeperSocket()); err != nil {
		return
	}
	if _, err := h.call(wire.KeeperStop, nil, nil); err != nil {
		h.Logf("stop: %v", err)
	}
}

// awaitDaemon waits until a daemon other than old holds the lock and the
// keeper knows it.
func (h *house) awaitDaemon(old int) (status wire.KeeperStatusAnswer) {
	h.Helper()
	kerneltest.Eventually(h, time.Minute, func() error {
		if _, err := h.call(wire.KeeperStatus, nil, &status); err != nil {
			return err
		}
		pid, err := folder.DaemonPID(h.place)
		if err != nil {
			return err
		}
		if pid == 0 || pid == old || pid != status.DaemonPID {
			return fmt.Errorf("lock of %d, keeper knows %d", pid, status.DaemonPID)
		}
		return nil
	})
	return status
}

// version says which build the daemon of that pid is: it writes that once it
// has its lock.
func (h *house) version(pid int) (version string) {
	h.Helper()
	kerneltest.Eventually(h, time.Minute, func() error {
		raw, err := os.ReadFile(filepath.Join(h.place.State, "version-"+strconv.Itoa(pid)))
		version = string(raw)
		return err
	})
	return version
}

func TestOfManyThatEnsureAKeeperOneStartsIt(t *testing.T) {
	h := newHouse(t)
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			if err := h.ensure(true); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	status := h.awaitDaemon(0)
	if status.DaemonStarts != 1 {
		t.Errorf("%d daemons were started", status.DaemonStarts)
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", status.PID))
	if err != nil || string(comm) != "mycompose-keepe\n" {
		t.Errorf("it shows as %q, %v", comm, err)
	}
}

// What a shell holds open, a lock or the end of a pipe, ends with the shell's
// command, not with the keeper that the command has started.
func TestAKeeperHoldsNothingOfItsStarter(t *testing.T) {
	for starter, command := range map[string]bool{"a command": true, "a monitor": false} {
		t.Run(starter, func(t *testing.T) {
			h := newHouse(t)
			var ends [2]int
			h.must(unix.Pipe2(ends[:], unix.O_NONBLOCK)) // not close-on-exec
			reader := os.NewFile(uintptr(ends[0]), "reader")
			defer reader.Close()
			err := h.ensure(command)
			h.must(errors.Join(err, unix.Close(ends[1])))
			h.awaitDaemon(0)
			h.must(reader.SetReadDeadline(time.Now().Add(time.Minute)))
			if n, err := reader.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the pipe is open still: %d, %v", n, err)
			}
		})
	}
}

func TestKeptSocketsOutliveTheDaemon(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	first := h.awaitDaemon(0)
	read, write, err := os.Pipe()
	h.must(err)
	defer read.Close()
	sockets := wire.KeeperSockets{Sockets: []wire.KeeperSocket{{Container: "a", Name: "dns"}, {Container: "b", Name: "dns"}}}
	_, err = h.call(wire.KeeperKeep, sockets, nil, write, write)
	h.must(err)
	h.must(write.Close())
	h.must(unix.Kill(first.DaemonPID, unix.SIGKILL))
	second := h.awaitDaemon(first.DaemonPID)
	if second.PID != first.PID || second.Sockets != 2 {
		t.Errorf("status %+v", second)
	}
	_, err = h.call(wire.KeeperDrop, wire.KeeperDropRequest{Containers: []string{"a"}}, nil)
	h.must(err)
	var list wire.KeeperSockets
	files, err := h.call(wire.KeeperList, wire.KeeperListRequest{}, &list)
	h.must(err)
	if len(files) != 1 || len(list.Sockets) != 1 || list.Sockets[0].Container != "b" || list.More {
		t.Fatalf("list %+v, %d files", list, len(files))
	}
	_, err = files[0].WriteString("still open")
	h.must(err)
	h.must(files[0].Close())
	_, err = h.call(wire.KeeperDrop, wire.KeeperDropRequest{Containers: []string{"b", "unknown"}}, nil)
	h.must(err)
	if got, err := io.ReadAll(read); err != nil || string(got) != "still open" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestANewKeeperWatchesTheDaemonThatLives(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	first := h.awaitDaemon(0)
	h.must(unix.Kill(first.PID, unix.SIGKILL))
	kerneltest.Eventually(t, time.Minute, func() error {
		_, err := h.call(wire.KeeperStatus, nil, nil)
		if err == nil {
			return errors.New("the killed keeper answers")
		}
		return nil
	})
	h.must(h.ensure(false))
	second := h.awaitDaemon(0)
	if second.PID == first.PID || second.DaemonPID != first.DaemonPID || second.DaemonStarts != 0 {
		t.Errorf("before %+v, now %+v", first, second)
	}
	h.must(unix.Kill(first.DaemonPID, unix.SIGKILL))
	if third := h.awaitDaemon(first.DaemonPID); third.DaemonStarts != 1 {
		t.Errorf("after the daemon's end %+v", third)
	}
}

func TestANewerBinaryTakesOver(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	first := h.awaitDaemon(0)
	if v := h.version(first.DaemonPID); v != "one" {
		t.Errorf("version %s", v)
	}
	_, err := h.call(wire.KeeperReplace, nil, nil, h.two, h.small)
	h.must(err)
	second := h.awaitDaemon(first.DaemonPID)
	if v := h.version(second.DaemonPID); v != "two" {
		t.Errorf("version %s", v)
	}
}

func TestAStoppedKeeperComesBackOnlyByCommand(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	daemon := h.awaitDaemon(0).DaemonPID
	_, err := h.call(wire.KeeperStop, nil, nil)
	h.must(err)
	if err := unix.Kill(daemon, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the daemon lives: %v", err)
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		if err := h.ensure(false); !errors.Is(err, wire.ErrStopped) {
			return fmt.Errorf("ensure: %v", err)
		}
		return nil
	})
	h.must(h.ensure(true))
	h.awaitDaemon(0)
}

func TestMonitorsWithoutKeeperAndDaemonBringBothBack(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	first := h.awaitDaemon(0)
	id := "feed" + fmt.Sprintf("%060d", 1)
	process, err := wire.StartMonitor(h.place, id, h.one, h.small)
	h.must(err)
	t.Cleanup(func() { _ = process.Kill(); _, _ = process.Wait() })
	if _, err := wire.StartMonitor(h.place, id, h.one, h.small); !errors.Is(err, wire.ErrMonitorThere) {
		t.Errorf("a second monitor: %v", err)
	}
	conn, err := wire.Dial(h.place.MonitorSocket(id)) // as its daemon
	h.must(err)
	peer := wire.NewPeer(conn, nil)
	served := make(chan struct{})
	go func() { defer close(served); _ = peer.Serve(context.Background()) }()
	_, err = peer.Call(context.Background(), wire.MonitorStatus, nil, nil)
	h.must(err)
	h.must(unix.Kill(first.PID, unix.SIGKILL))
	h.must(unix.Kill(first.DaemonPID, unix.SIGKILL))
	peer.Close()
	<-served
	second := h.awaitDaemon(first.DaemonPID)
	if second.PID == first.PID {
		t.Errorf("before %+v, now %+v", first, second)
	}
}

// A newer daemon that ends again and again is given up for the one that worked.
func TestADaemonThatDoesNotStayUpIsGivenUpForTheOneBefore(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	first := h.awaitDaemon(0)
	bad := h.build(h.dir, "bad", "engine/keeper/testdata/daemon", "bad")
	_, err := h.call(wire.KeeperReplace, nil, nil, bad, h.small)
	h.must(err)
	again := h.awaitDaemon(first.DaemonPID)
	if v := h.version(again.DaemonPID); again.DaemonStarts != first.DaemonStarts+3+1 || v != "one" {
		t.Errorf("after %+v: %+v, version %s", first, again, v)
	}
	if _, err := h.call(wire.KeeperReplace, nil, nil, bad, h.small); err == nil || !strings.Contains(err.Error(), "did not stay up") {
		t.Errorf("the same once more: %v", err)
	}
	_, err = h.call(wire.KeeperReplace, nil, nil, h.two, h.small)
	h.must(err)
	last := h.awaitDaemon(again.DaemonPID)
	if v := h.version(last.DaemonPID); v != "two" {
		t.Errorf("another program: version %s", v)
	}
}

// A login session may end with all that is in its control groups.
func TestKeeperAndDaemonAreInNoGroupOfTheirStarter(t *testing.T) {
	h := newHouse(t)
	h.must(h.ensure(true))
	status := h.awaitDaemon(0)
	for _, pid := range []int{status.PID, status.DaemonPID} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		h.must(err)
		for line := range strings.Lines(string(raw)) {
			parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // proc_pid_cgroup(5)
			switch {
			case parts[0] == "0" && !strings.HasSuffix(parts[2], "/mycompose-"+h.place.Tag+"/_system"):
				t.Errorf("process %d is in %s", pid, line)
			case parts[0] != "0" && parts[2] != "/" && parts[2] != groupOfInit(t, parts[1]):
				t.Errorf("process %d is in %s", pid, line)
			}
		}
	}
}

// groupOfInit is where the first process of the machine, or of its container, is
// in a v1 hierarchy.
func groupOfInit(t *testing.T, controllers string) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/1/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); parts[1] == controllers {
			return parts[2]
		}
	}
	return "/"
}
