package wire

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who runs out of descriptors for a moment goes on to listen: a keeper that ended
// by that would take the daemon with it.
func TestAShortageDoesNotEndListening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asker, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	var before unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3 // stdio has them
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 2)
	go func() {
		for range 2 {
			conn, err := listener.Accept()
			if err == nil {
				conn.Close()
			}
			accepted <- err
		}
	}()
	var early error
	select { // a slow machine may not have tried by then, and then shows nothing
	case early = <-accepted:
	case <-time.After(4 * acceptPause):
	}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	if early != nil {
		t.Fatalf("while there are no descriptors: %v", early)
	}
	if err := <-accepted; err != nil {
		t.Errorf("once there are again: %v", err)
	}
	listener.Close()
	if err := <-accepted; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
