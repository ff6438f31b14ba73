//go:build faults

package fault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func steer(t *testing.T, name, line string) (folder string) {
	t.Helper()
	state := os.Getenv("MYCOMPOSE_STATE_DIR")
	if state == "" {
		state = t.TempDir()
		t.Setenv("MYCOMPOSE_STATE_DIR", state)
	}
	folder = filepath.Join(state, "faults")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".fault"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestAFaultActsOnceAtItsHit(t *testing.T) {
	folder := steer(t, "full", "a.point 3 errno:ENOSPC fault.test")
	steer(t, "other", "a.point 1 errno:EIO another program")
	var failed atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := Errno("a.point"); errors.Is(err, unix.ENOSPC) {
				failed.Add(1)
			} else if err != nil {
				t.Errorf("failed with %v", err)
			}
			if err := Errno("another.point"); err != nil {
				t.Errorf("another point failed: %v", err)
			}
		})
	}
	all.Wait()
	if failed.Load() != 1 {
		t.Errorf("acted %d times, want once", failed.Load())
	}
	if _, err := os.Lstat(filepath.Join(folder, "full.done")); err != nil {
		t.Error(err)
	}
}

func TestTraceTellsPassages(t *testing.T) {
	folder := steer(t, "x", "no.point 1 kill nobody")
	path := filepath.Join(folder, "trace")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	Point("one")
	Point("two")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "\ttwo") {
		t.Errorf("traced %q", lines)
	}
}

func TestKillEndsTheProcessOnlyOnce(t *testing.T) {
	if os.Getenv("FAULT_CHILD") != "" {
		Point("die.here")
		os.Exit(7)
	}
	steer(t, "die", "die.here 2 kill fault.test")
	var codes []int
	for range 4 {
		child := exec.Command("/proc/self/exe", "-test.run", "^TestKillEndsTheProcessOnlyOnce$")
		child.Args[0] = "fault.test"
		child.Env = append(os.Environ(), "FAULT_CHILD=1")
		_ = child.Run()
		status := child.ProcessState.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			codes = append(codes, int(status.Signal()))
		} else {
			codes = append(codes, status.ExitStatus())
		}
	}
	if codes[0] != 7 || codes[1] != 9 || codes[2] != 7 || codes[3] != 7 {
		t.Errorf("ended with %v, want the second killed", codes)
	}
}
