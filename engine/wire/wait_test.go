package wire

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// threads is how many this process has, proc_pid_status(5).
func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWaitingForChildrenTakesNoThreads(t *testing.T) {
	const children = 40
	before := threads(t)
	var waiting sync.WaitGroup
	var started []*os.Process
	ends := make(chan syscall.WaitStatus, children)
	for range children {
		process, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, process)
		waiting.Go(func() {
			state, err := Wait(process)
			if err != nil {
				t.Error(err)
				state = &os.ProcessState{}
			}
			ends <- state.Sys().(syscall.WaitStatus)
		})
	}
	time.Sleep(100 * time.Millisecond) // for all to wait; too short only makes the test weaker
	if during := threads(t); during > before+children/2 {
		t.Errorf("%d threads wait for %d children, %d before", during, children, before)
	}
	for _, process := range started {
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
	}
	waiting.Wait()
	close(ends)
	for status := range ends {
		if status.Signal() != syscall.SIGKILL {
			t.Errorf("a killed child ended as %v", status)
		}
	}
}

func TestWaitReturnsHowAChildEnded(t *testing.T) {
	process, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "exit 7"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	state, err := Wait(process)
	if err != nil || state.ExitCode() != 7 || !strings.Contains(state.String(), "7") {
		t.Errorf("got %v, %v", state, err)
	}
}
