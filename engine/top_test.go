package engine

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestAProcessIsReadWhateverItsNameHolds(t *testing.T) {
	boot := time.Unix(1000, 0)
	p, err := parseStat("42 (a) b (c) S 7 42 42 34817 42 4194304 1 0 0 0 250 50 0 0 20 0 1 0 12345 1 1", boot)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != 42 || p.Parent != 7 || p.Terminal != "pts/1" || p.CPU != 3*time.Second ||
		!p.StartedAt.Equal(boot.Add(123450*time.Millisecond)) || p.Command[0] != "[a) b (c]" {
		t.Errorf("got %+v", p)
	}
	for _, wrong := range []string{"", "1 (x", "1 (x) S 1", "x (x) S 7 42 42 0 42 4194304 1 0 0 0 250 50 0 0 20 0 1 0 12345"} {
		if _, err := parseStat(wrong, boot); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
	since, err := bootTime()
	if err != nil {
		t.Fatal(err)
	}
	own, err := readProcess("/proc", os.Getpid(), since)
	if err != nil {
		t.Fatal(err)
	}
	if own.Parent != os.Getppid() || own.UID != os.Getuid() || !slices.Equal(own.Command, os.Args) {
		t.Errorf("got %+v", own)
	}
}

func TestBytesOfLinksAreAddedUpWithoutTheLoopback(t *testing.T) {
	in, out := linkBytes([]byte(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:    1000      10    0    0    0     0          0         0     2000      20    0    0    0     0       0          0
  eth1: 1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0
`))
	if in != 1001 || out != 2002 {
		t.Errorf("received %d, sent %d", in, out)
	}
}
