package cli

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// A keeper that somebody has stopped is named with what lets it go on, and that of
// another state folder is none of ours.
func TestAStoppedKeeperIsNamed(t *testing.T) {
	place := folder.Place{State: t.TempDir()}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs the program sleep")
	}
	keeper := &exec.Cmd{Path: sleep, Args: []string{wire.RoleKeeper, "1000"}, Env: []string{folder.StateDirVariable + "=" + place.State}}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer keeper.Wait() // killed
	defer keeper.Process.Kill()
	if err := keeper.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := "kill -CONT " + strconv.Itoa(keeper.Process.Pid)
	var does string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		vain := false
		if does, vain = keeperState(place); vain {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not seen to be stopped: %s", does)
		}
	}
	if !strings.Contains(does, resume) {
		t.Errorf("%q does not say %q", does, resume)
	}
	if does, vain := keeperState(folder.Place{State: t.TempDir()}); vain || does != "no keeper runs" {
		t.Errorf("of another state folder: %q", does)
	}
}
