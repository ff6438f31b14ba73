package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// PrepareRun makes the run folder and clears what another boot left in it.
func PrepareRun(p Place) error {
	bootID, err := BootID()
	if err != nil {
		return err
	}
	return prepareRun(p, bootID)
}

func prepareRun(p Place, bootID string) error {
	if err := os.MkdirAll(p.RunRoot, 0o711); err != nil {
		return fmt.Errorf("cannot make run folder: %w", err)
	}
	if err := os.Mkdir(p.Run, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make run folder: %w", err)
	}
	stamp := filepath.Join(p.Run, "boot")
	if raw, err := os.ReadFile(stamp); err == nil && string(raw) == bootID {
		return nil
	}
	// One process clears; the others wait and find the stamp.
	dir, err := os.Open(p.Run)
	if err != nil {
		return fmt.Errorf("cannot open run folder: %w", err)
	}
	defer dir.Close()
	if err := flock(dir, unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock run folder %s: %w", p.Run, err)
	}
	if raw, err := os.ReadFile(stamp); err == nil && string(raw) == bootID {
		return nil
	}
	if err := clearFolder(dir); err != nil {
		return fmt.Errorf("cannot clear run folder %s: %w", p.Run, err)
	}
	for _, name := range []string{"monitor", "exits", "locks"} {
		if err := os.Mkdir(filepath.Join(p.Run, name), 0o700); err != nil {
			return fmt.Errorf("cannot make run folder: %w", err)
		}
	}
	// The stamp last: a stop before it means clearing again.
	tmp := stamp + ".tmp"
	if err := os.WriteFile(tmp, []byte(bootID), 0o600); err != nil {
		return fmt.Errorf("cannot stamp run folder: %w", err)
	}
	if err := os.Rename(tmp, stamp); err != nil {
		return fmt.Errorf("cannot stamp run folder: %w", err)
	}
	return nil
}

// clearFolder removes all that lies in a folder. That is its owner's only, so that
// nobody puts links in the way, for which os.RemoveAll would be 4 KB more in the
// small program.
func clearFolder(dir *os.File) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(filepath.Join(dir.Name(), name)); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file, or a folder with all that lies in it.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := clearFolder(dir); err != nil {
		return err
	}
	return os.Remove(path)
}

// BootID is the id that the kernel drew at this boot, proc(5).
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
