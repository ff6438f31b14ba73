package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFoldersAreSpreadWhereThereIsNoJournalAndNowhereElse(t *testing.T) {
	dir := t.TempDir()
	without, err := withoutJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is success
		if err := Spread(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := isTop(t, dir); got != without {
		t.Errorf("spread: %v, without a journal: %v", got, without)
	}
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if isTop(t, below) {
		t.Error("a folder below inherits it")
	}
	if err := Spread(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing folder can be spread")
	}
}

// isTop reads the flag; a file system without flags has none set.
func isTop(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	return err == nil && flags&topOfHierarchies != 0
}
