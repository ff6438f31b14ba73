package resident

import (
	"os"
	"testing"
)

func TestOwnProcessIsMeasured(t *testing.T) {
	pid := os.Getpid()
	before := Descriptors(pid)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after := Descriptors(pid); after != before+1 {
		t.Errorf("an open file makes %d of %d descriptors", after, before)
	}
	if kib := PrivateKiB(pid); kib < 100 {
		t.Errorf("private memory is %d KiB", kib)
	}
	if n := Threads(pid); n < 1 {
		t.Errorf("%d threads", n)
	}
	if n := Descriptors(-1) + PrivateKiB(-1) + Threads(-1); n != 0 {
		t.Errorf("a process that does not exist has %d", n)
	}
}

func TestAForkThatHasNotExecutedIsLeftOut(t *testing.T) {
	all := []Process{{PID: 1, Role: "mycompose-daemon", parent: 9}, {PID: 2, Role: "mycompose-daemon", parent: 1}, {PID: 3, Role: "mycompose-monitor", parent: 1}}
	if got := withoutForks(all); len(got) != 2 || got[0].PID != 1 || got[1].PID != 3 {
		t.Errorf("got %v", got)
	}
	if got := parent(os.Getpid()); got != os.Getppid() {
		t.Errorf("parent is %d, want %d", got, os.Getppid())
	}
}
