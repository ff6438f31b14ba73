package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// monitors are the monitors among the children of this process: what each shows of
// its container.
func monitors(t *testing.T) map[int]string {
	t.Helper()
	found := map[int]string{}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		status, _ := os.ReadFile("/proc/" + p.Name() + "/status")
		shown, ok := strings.CutPrefix(string(line), "mycompose-monitor\x00")
		if ok && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
			found[pid] = strings.Trim(shown, "\x00")
		}
	}
	return found
}

// spareMonitors waits until the engine has all that it wants, and lists them.
func spareMonitors(t *testing.T) (pids []int) {
	t.Helper()
	kerneltest.Eventually(t, time.Minute, func() error {
		pids = nil
		for pid, shown := range monitors(t) {
			if shown == "------------" {
				pids = append(pids, pid)
			}
		}
		if len(pids) != spareCount {
			return fmt.Errorf("%d spare monitors", len(pids))
		}
		return nil
	})
	return pids
}

func TestAStartTakesASpareMonitor(t *testing.T) {
	r := newRig(t)
	ready := spareMonitors(t)
	first := r.start(shell("first", forever))
	taken := 0
	for _, pid := range ready {
		if monitors(t)[pid] == short(first) {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("of the spare monitors %v, %d is that of the container: %v", ready, taken, monitors(t))
	}
	if next := spareMonitors(t); len(monitors(t)) != spareCount+1 {
		t.Errorf("%v are spare of %v", next, monitors(t))
	}

	t.Run("those that are killed are not missed", func(t *testing.T) {
		for _, pid := range spareMonitors(t) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		r.start(shell("killed", forever))
	})
	t.Run("one that is stopped goes on", func(t *testing.T) {
		for _, pid := range spareMonitors(t) {
			if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		id := r.start(shell("stopped", forever))
		r.killMonitor(id)
		r.until(id, "ended", func(s spec.Status) bool { return s.State == spec.StateExited })
	})
	t.Run("they end with the engine", func(t *testing.T) {
		if err := r.engine.Close(); err != nil {
			t.Fatal(err)
		}
		for pid, shown := range monitors(t) {
			if shown == "------------" {
				t.Errorf("%d is left", pid)
			}
		}
		r.open()
	})
}
