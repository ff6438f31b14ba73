package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Format is the format of the folder tree that this program writes.
const Format = 1

const formatPrefix = "mycompose state "

// Open makes and opens the state folder and the run folder of a place.
func Open(p Place) (*Store, error) {
	s := &Store{Place: p, ops: osOps{}}
	if err := os.MkdirAll(p.State, 0o711); err != nil {
		return nil, fmt.Errorf("cannot make state folder: %w", err)
	}
	if err := s.checkFormat(); err != nil {
		return nil, err
	}
	for _, dir := range []struct {
		name string
		mode os.FileMode
	}{
		{"containers", 0o711}, {"images", 0o700}, {"layers", 0o711}, {"networks", 0o700},
		{"volumes", 0o711}, {"projects", 0o700}, {"contents", 0o700}, {"logs", 0o700}, {"builder", 0o700},
	} {
		if err := os.Mkdir(filepath.Join(p.State, dir.name), dir.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cannot make state folder: %w", err)
		}
	}
	if err := PrepareRun(p); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) checkFormat() error {
	path := filepath.Join(s.State, "format")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(raw) == 0 {
		err = s.replace(path, []byte(formatPrefix+strconv.Itoa(Format)+"\n"), Cached)
		if err != nil {
			return fmt.Errorf("cannot make state folder %s: %w", s.State, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read state folder: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	number, ok := strings.CutPrefix(text, formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		return fmt.Errorf("cannot read state folder %s: its file format says %q", s.State, text)
	}
	if version > Format {
		return fmt.Errorf("cannot use state folder %s: a newer mycompose wrote it (format %d, this one reads up to %d)",
			s.State, version, Format)
	}
	return nil
}

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
	tmp := stamp + temporary
	if err := os.WriteFile(tmp, []byte(bootID), 0o600); err != nil {
		return fmt.Errorf("cannot stamp run folder: %w", err)
	}
	if err := os.Rename(tmp, stamp); err != nil {
		return fmt.Errorf("cannot stamp run folder: %w", err)
	}
	return nil
}

func clearFolder(dir *os.File) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir.Name(), name)); err != nil {
			return err
		}
	}
	return nil
}

// BootID is the id that the kernel drew at this boot, proc(5).
func BootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
