// Package kerneltest is what root tests share: asking for root, for kernel
// features, for fresh network namespaces, waiting for a condition, and proof
// that a test left nothing behind. It imports nothing of ours.
//
// With MYCOMPOSE_ROOT_TESTS=1 (make test sets it) a test that needs root fails
// for want of it in place of being skipped; with 0 (make unit) it is left out
// even for root. Each root test that ran or was
// skipped is written as one line to the file that MYCOMPOSE_ROOT_REPORT names,
// so that make test can end with their numbers.
package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// NeedRoot skips the test for a plain user, or fails it when root tests are
// asked for. It records the test in the report.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getenv("MYCOMPOSE_ROOT_TESTS") == "0" {
		t.Skip("root tests are not asked for")
	}
	if os.Geteuid() != 0 {
		if os.Getenv("MYCOMPOSE_ROOT_TESTS") == "1" {
			t.Fatal("root tests are asked for, but this is not root")
		}
		report(t, "skip", "root")
		t.Skip("needs root")
	}
	t.Cleanup(func() {
		if !t.Skipped() {
			report(t, "run", "")
		}
	})
}

// NeedFeature skips the test when the host's kernel lacks a feature. feature
// names it ("cgroup v2 controllers"); have is what a probe found.
func NeedFeature(t testing.TB, feature string, have bool) {
	t.Helper()
	if have {
		return
	}
	report(t, "skip", feature)
	t.Skipf("needs kernel feature: %s", feature)
}

// NeedProgram fails when a program that make setup installs is missing, and
// returns its path.
func NeedProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run make setup", name)
	}
	return path
}

func report(t testing.TB, outcome, reason string) {
	path := os.Getenv("MYCOMPOSE_ROOT_REPORT")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("cannot write report: %v", err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\t%s\t%s\n", outcome, t.Name(), reason)
}

// Eventually calls check every few milliseconds until it returns nil; after
// the deadline, which only guards against hanging, the test fails with its
// last error.
func Eventually(t testing.TB, deadline time.Duration, check func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still not so after %s: %v", deadline, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// NetNS is a network namespace of a test's own.
type NetNS struct {
	File *os.File
}

// NewNetNS makes a network namespace with its loopback up; it ends with the
// test.
func NewNetNS(t testing.TB) *NetNS {
	t.Helper()
	NeedRootOnly(t)
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		file, err := os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
		if err == nil {
			err = loopbackUp()
		}
		done <- result{file, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatalf("cannot make a network namespace: %v", r.err)
	}
	t.Cleanup(func() { r.file.Close() })
	return &NetNS{File: r.file}
}

// NeedRootOnly fails without root, without recording anything.
func NeedRootOnly(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root: call NeedRoot first")
	}
}

// ErrEnded is what Try returns for a function that ended its goroutine, as
// t.Fatal and t.Skip do, in place of returning.
var ErrEnded = errors.New("the function ended its goroutine")

// Do runs f on a thread inside the namespace. Sockets that f opens stay there.
// f may call t.Fatal: the test ends then.
func (n *NetNS) Do(t testing.TB, f func() error) {
	t.Helper()
	err := n.Try(f)
	if errors.Is(err, ErrEnded) && t.Skipped() {
		t.SkipNow()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Try runs f on a thread inside the namespace and returns its error.
func (n *NetNS) Try(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := ErrEnded
		defer func() { done <- err }()
		runtime.LockOSThread() // the thread is thrown away
		if err = unix.Setns(int(n.File.Fd()), unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("cannot enter the namespace: %w", err)
			return
		}
		err = ErrEnded
		err = f()
	}()
	return <-done
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// Snapshot is what of the machine a test could leave behind.
type Snapshot map[string]bool

// Take lists processes of ours, mounts, links, cgroups and nft tables that carry
// tag, the 8 hex digits of a state folder ("" is any).
func Take(tag string) Snapshot {
	s := Snapshot{}
	takeProcesses(s, tag)
	takeMounts(s, tag)
	takeLinks(s, tag)
	takeCgroups(s, tag)
	takeTables(s, tag)
	return s
}

// NoLeaks compares the machine at the test's end with now, in all that carries
// the tag of a state folder. Call it before anything else in a test, so that
// its check runs last. The empty tag means everything of ours: only for tests
// that run alone on the machine.
func NoLeaks(t testing.TB, tag string) {
	t.Helper()
	before := Take(tag)
	t.Cleanup(func() {
		if t.Failed() {
			return // the first failure is the interesting one
		}
		var left []string
		end := time.Now().Add(time.Minute)
		for {
			left = left[:0]
			for thing := range Take(tag) {
				if !before[thing] {
					left = append(left, thing)
				}
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(end) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	})
}
