package network

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// nsPath is the network namespace of the calling thread. It is not
// /proc/self, which is the main thread's.
const nsPath = "/proc/thread-self/ns/net"

// isOwn says whether ns is the namespace of the calling thread.
func isOwn(ns *os.File) (bool, error) {
	own, err := os.Stat(nsPath)
	if err != nil {
		return false, err
	}
	that, err := ns.Stat()
	return err == nil && os.SameFile(own, that), err
}

// NewNamespace makes a network namespace that holds nothing but a loopback
// device, which is up, and returns the descriptor that keeps it alive. Links
// that come into it later have IPv6 off (no duplicate address detection, no
// router advertisements, no link-local traffic); lo keeps ::1. As in dockerd,
// every user inside may bind ports below 1024 and send pings.
func NewNamespace() (*os.File, error) {
	var ns *os.File
	err := onThread(func() (err error) {
		if ns, err = unshareNamespace(); err == nil {
			err = raiseLoopback()
		}
		return err
	})
	if err != nil {
		if ns != nil {
			ns.Close()
		}
		return nil, fmt.Errorf("cannot make a network namespace: %w", err)
	}
	return ns, nil
}

// furnish gives the calling thread's fresh namespace its settings.
func furnish() error {
	for _, s := range []sysctl{
		{"ipv6/conf/default/accept_dad", "0", true},
		{"ipv6/conf/default/accept_ra", "0", true},
		{"ipv6/conf/default/disable_ipv6", "1", true},
		{"ipv4/ip_unprivileged_port_start", "0", false},
		{"ipv4/ping_group_range", "0 2147483647", false},
	} {
		if err := s.write(); err != nil {
			return err
		}
	}
	return nil
}

func raiseLoopback() error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.batch(linkUp(loopback)); err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	return nil
}

// Do runs fn on a thread that is inside the network namespace ns: sockets that
// fn opens, and its reads and writes below /proc/sys/net, belong to ns. fn must
// not start goroutines that need to be inside, nor leave its goroutine. The
// thread is taken back afterwards, or thrown away if that fails.
func Do(ns *os.File, fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter network namespace: %w", err)
		}
		return fn()
	})
}

// onThread runs fn on a locked thread that may change its network namespace,
// and puts the thread back. A thread that cannot be put back ends with its
// goroutine, as it stays locked.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("the function left its goroutine")
		defer func() { done <- err }() // also when fn ends the goroutine
		runtime.LockOSThread()
		home, failed := openThreadNS()
		if failed != nil {
			err = failed
			runtime.UnlockOSThread()
			return
		}
		defer home.Close()
		err = fn()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return <-done
}

func openThreadNS() (*os.File, error) {
	fd, err := unix.Open(nsPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", nsPath, err)
	}
	return os.NewFile(uintptr(fd), "netns"), nil
}
