package network_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
)

// A process that is being started is still in the host's namespace: that is
// never taken for a container's.
func TestTheNetworkOfAContainerIsNeverTheHosts(t *testing.T) {
	kerneltest.NeedRoot(t)
	starting, inside := waiting(t, 0), waiting(t, syscall.CLONE_NEWNET)
	if ns, err := network.OfProcesses([]int{starting}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the host's own: %v, %v", ns, err)
	}
	ns, err := network.OfProcesses([]int{starting, inside})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	own, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if that, err := ns.Stat(); err != nil || os.SameFile(own, that) {
		t.Errorf("the namespace found is the host's (%v)", err)
	}
}

// waiting is a process that ends with the test.
func waiting(t *testing.T, flags uintptr) int {
	t.Helper()
	cmd := exec.Command("cat") // until its stdin is closed
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return cmd.Process.Pid
}
