package spawn_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// gated prepares a container behind a gate that nobody has opened; before opens it
// or calls it off, once all but the program has had time to be made.
func gated(b *box, init bool, before func(c *container, gate *os.File)) (c *container, err error) {
	b.Helper()
	c = b.prepare("sh", "-c", "echo through; read line < /proc/self/stat; echo $line")
	c.recipe.Init = init
	var ends [2]int
	b.must(unix.Pipe2(ends[:], unix.O_CLOEXEC))
	file := c.add(os.NewFile(uintptr(ends[0]), "gate"))
	c.recipe.Gate = &file
	gate := os.NewFile(uintptr(ends[1]), "gate")
	opened := make(chan time.Time)
	go func() {
		defer gate.Close()
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		before(c, gate)
		opened <- now
	}()
	err = c.start()
	ended := time.Now()
	if at := <-opened; ended.Before(at) {
		b.Errorf("the start came back %v before the gate was opened", at.Sub(ended))
	}
	return c, err
}

func TestAProgramWaitsAtItsGate(t *testing.T) {
	b := newBox(t)
	for name, init := range map[string]bool{"alone": false, "behind an init": true} {
		t.Run(name, func(t *testing.T) {
			c, err := gated(b, init, func(_ *container, gate *os.File) { _, _ = gate.Write([]byte{1}) })
			if err != nil {
				t.Fatal(err)
			}
			if code := c.wait(); code != 0 || !strings.HasPrefix(c.out.String(), "through\n") {
				t.Errorf("code %d, %q", code, c.out)
			}
		})
	}
}

func TestAStartThatIsCalledOffExecutesNothing(t *testing.T) {
	b := newBox(t)
	for name, init := range map[string]bool{"alone": false, "behind an init": true} {
		t.Run(name, func(t *testing.T) {
			c, err := gated(b, init, func(_ *container, gate *os.File) { gate.Close() })
			if err == nil || !strings.Contains(err.Error(), "the start was called off") {
				t.Errorf("error %v", err)
			}
			<-c.copied
			if c.out.Len() > 0 {
				t.Errorf("it was executed: %q", c.out)
			}
			procs, err := c.group.PIDs()
			if err != nil || len(procs) > 0 {
				t.Errorf("left in its group: %v, %v", procs, err)
			}
		})
	}
}

// Whoever kills the init of a program that waits, the kernel for want of memory for
// one, is not told that the machine has none (its limit may be why).
func TestAnInitThatIsKilledWhileItsProgramWaitsIsTheReason(t *testing.T) {
	b := newBox(t)
	c, err := gated(b, true, func(c *container, gate *os.File) {
		var ended error
		kerneltest.Eventually(t, time.Minute, func() error {
			pids, err := c.group.PIDs()
			if err == nil && len(pids) != 1 {
				err = fmt.Errorf("in its group: %v", pids)
			}
			if err == nil {
				ended = unix.Kill(pids[0], unix.SIGKILL)
			}
			return err
		})
		kerneltest.Eventually(t, time.Minute, func() error {
			pids, err := c.group.PIDs()
			if err == nil && len(pids) > 0 {
				err = fmt.Errorf("it lives: %v", pids)
			}
			return err
		})
		_, err := gate.Write([]byte{1})
		if err := errors.Join(ended, err); err != nil {
			t.Error(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "limit too low?") {
		t.Errorf("error %v", err)
	}
	<-c.copied
}
