package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// world is a network and mount namespace of its own for one tool: what it does
// to links, addresses, rules and sysctls of the network ends with it, and no
// tool sees another's. Its namespaces live as long as its thread or a process
// started on it.
type world struct {
	// calls run on the world's thread, one at a time: a process started
	// there is in its namespaces.
	calls chan func()
	ended chan struct{}
	// netns is the path of its network namespace, for ip(8).
	netns string
}

// newWorld makes one whose loopback is up, and where each folder of private is
// an empty tmpfs.
func newWorld(private ...string) (*world, error) {
	w := &world{calls: make(chan func()), ended: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(w.ended)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := w.enter(private)
		made <- err
		if err != nil {
			return
		}
		for call := range w.calls {
			call()
		}
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("cannot make namespaces: %w", err)
	}
	return w, nil
}

func (w *world) enter(private []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return err
	}
	w.netns = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	for _, dir := range private {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700"); err != nil {
			return fmt.Errorf("cannot mount a tmpfs on %s: %w", dir, err)
		}
	}
	return shell("ip link set lo up")
}

// do runs f on the world's thread.
func (w *world) do(f func() error) error {
	done := make(chan error)
	w.calls <- func() { done <- f() }
	return <-done
}

// dropUnified hides the cgroup v2 mount of a host that has cgroup v1 beside it:
// crun refuses such a host if v2 has controllers of its own.
func (w *world) dropUnified() {
	_ = w.do(func() error { return unix.Unmount("/sys/fs/cgroup/unified", 0) }) // most hosts have none
}

// end lets the namespaces go with the processes that are in them.
func (w *world) end() {
	close(w.calls)
	<-w.ended
}

// link joins w with other by a veth pair, 10.213.N.1 being w's end and .2 the
// other's, which gets its default route by way of w.
func (w *world) link(other *world, name string, n int) error {
	err := w.do(func() error {
		return shell(fmt.Sprintf("ip link add %s0 type veth peer name %s1 netns %s", name, name, other.netns),
			fmt.Sprintf("ip addr add 10.213.%d.1/24 dev %s0", n, name), fmt.Sprintf("ip link set %s0 up", name))
	})
	return errors.Join(err, other.do(func() error {
		return shell(fmt.Sprintf("ip addr add 10.213.%d.2/24 dev %s1", n, name), fmt.Sprintf("ip link set %s1 up", name),
			fmt.Sprintf("ip route add default via 10.213.%d.1", n))
	}))
}

// shell runs commands of words in turn, until one fails.
func shell(commands ...string) error {
	for _, command := range commands {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	return nil
}
