package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/tree"
)

// What is mounted in a namespace ends with it, so that no thread may be there late.
func TestNobodyStaysInAMountNamespace(t *testing.T) {
	kerneltest.NeedRoot(t)
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	// A process that has one and waits for its input.
	cmd := exec.CommandContext(t.Context(), "/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	ns, err := OpenMountNamespace(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	for range 200 {
		entered := ""
		err := InMountNamespace(ns, false, func(*tree.Root) (err error) {
			entered, err = os.Readlink("/proc/thread-self/ns/mnt")
			return err
		})
		if err != nil || entered == own {
			t.Fatalf("was in %s: %v", entered, err)
		}
		threads, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if there, err := os.Readlink(thread); err == nil && there != own {
				t.Fatalf("%s is still %s", thread, there)
			}
		}
	}
}
