package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever removes the daemon's socket, or puts something in its place, does not
// leave a daemon that nobody reaches; those connected before stay.
func TestASocketThatIsRemovedIsThereAgain(t *testing.T) {
	place := newPlace(t)
	r := start(t, place, newMachine(), "b1")
	for range 3 {
		before := dial(t, place, "b1")
		if _, err := before.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(place.Socket()); err != nil {
			t.Fatal(err)
		}
		if _, err := dial(t, place, "b1").Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := before.Info(t.Context()); err != nil {
			t.Errorf("one that was connected: %v", err)
		}
	}
	other := filepath.Join(place.Run, "other", "file")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, filepath.Dir(other), unix.AT_FDCWD, place.Socket(), unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, place, "b1").Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if _, err := os.Lstat(place.Socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}
