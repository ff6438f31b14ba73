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
	if ns, err := network.OfProcesses([]int{os.Getpid()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the host's own: %v, %v", ns, err)
	}
	inside := exec.Command("cat") // until its stdin is closed
	inside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	stdin, err := inside.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	ns, err := network.OfProcesses([]int{os.Getpid(), inside.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	stdin.Close()
	if err := inside.Wait(); err != nil {
		t.Error(err)
	}
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if that, err := ns.Stat(); err != nil || os.SameFile(own, that) {
		t.Errorf("the namespace found is the host's (%v)", err)
	}
}
