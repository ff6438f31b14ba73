package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/folder"
)

// Format is the format of the folder tree that this program writes.
const Format = 1

const formatPrefix = "mycompose state "

// ourFolders are made by Open; containers' processes pass those of 0711.
var ourFolders = []struct {
	name string
	mode os.FileMode
}{
	{"containers", 0o711}, {"images", 0o700}, {"layers", 0o711}, {"networks", 0o700},
	{"volumes", 0o711}, {"projects", 0o700}, {"contents", 0o700}, {"logs", 0o700}, {"builder", 0o700},
}

// Open makes and opens the state folder and the run folder of a place.
func Open(p folder.Place) (*Store, error) {
	s := &Store{Place: p, ops: osOps{}}
	if err := os.MkdirAll(p.State, 0o711); err != nil {
		return nil, fmt.Errorf("cannot make state folder: %w", err)
	}
	if err := s.checkFormat(); err != nil {
		return nil, err
	}
	for _, dir := range ourFolders {
		if err := os.Mkdir(filepath.Join(p.State, dir.name), dir.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cannot make state folder: %w", err)
		}
	}
	if err := folder.PrepareRun(p); err != nil {
		return nil, err
	}
	return s, nil
}

// formatKind is the file format as what is set aside, beside the objects.
var formatKind = Kind{Word: "file", Version: Format}

const formatFile = "format"

// checkFormat refuses a tree that is not ours or a newer mycompose's. A damaged
// file in a tree of ours is set aside: each object has a version of its own.
func (s *Store) checkFormat() error {
	path := filepath.Join(s.State, formatFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(raw) == 0 {
		return s.writeFormat(path)
	}
	if err != nil {
		return fmt.Errorf("cannot read state folder: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	number, ok := strings.CutPrefix(text, formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		unread := fmt.Errorf("cannot read state folder %s: its file format says %.60q, not %q and a number", s.State, text, formatPrefix)
		if !s.looksOurs() {
			return unread
		}
		if err := s.setAside(formatKind, formatFile, path, unread); !Aside(err) {
			return err
		}
		return s.writeFormat(path)
	}
	if version > Format {
		return fmt.Errorf("cannot use state folder %s: a newer mycompose wrote it (format %d, this one reads up to %d)",
			s.State, version, Format)
	}
	return nil
}

func (s *Store) writeFormat(path string) error {
	if err := s.replace(path, []byte(formatPrefix+strconv.Itoa(Format)+"\n"), Ordered); err != nil {
		return fmt.Errorf("cannot make state folder %s: %w", s.State, err)
	}
	return nil
}

// looksOurs reports whether all our folders are there, so that somebody else's
// folder with a file of that name is not taken.
func (s *Store) looksOurs() bool {
	for _, dir := range ourFolders {
		if info, err := os.Stat(filepath.Join(s.State, dir.name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}
