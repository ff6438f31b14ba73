package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mycompose/mycompose/engine/folder"
)

// Durability says what a Put survives. Every Put survives kill -9 of any
// process at any moment; the choice is about power failures.
type Durability int

const (
	// Cached leaves the time of writing to the kernel: no sync call. The next
	// Settle makes it durable.
	Cached Durability = iota
	// Volatile is Cached, and no Settle is made for it: after a power failure
	// it may be gone.
	Volatile
	// Ordered is Cached, and after a power failure the old object or the new
	// one is there. One sync call.
	Ordered
)

// Store is an open state folder. All methods may be called by many goroutines.
type Store struct {
	folder.Place
	ops   fileOps
	count atomic.Uint64 // names temporary files
	syncs atomic.Uint64

	settling sync.Mutex    // held by the one that syncs all
	changed  atomic.Bool   // something was written that Settle has not synced
	begun    atomic.Uint64 // how often all was synced, or tried to be
	reached  uint64        // the last of these that succeeded; under settling

	mu sync.Mutex // guards what follows
	// refused are the objects of a newer mycompose that were met, by path;
	// nothing of ours is put in their place.
	refused map[string]*NewerError
	// torn are those that were set aside since Open.
	torn []*TornError
}

// Settle makes everything that was written before it durable, with one
// syncfs(2) if that is not so already: the end of what promised something.
func (s *Store) Settle() error {
	// Who finds it done by another waits until that is true.
	s.settling.Lock()
	defer s.settling.Unlock()
	if !s.changed.Load() {
		return nil
	}
	return s.syncAll()
}

// Flush makes durable what anybody has written to the state folder before it,
// by way of the store or not: layers, before the record that names them. Of
// many that ask at once a few sync for all.
func (s *Store) Flush() error { return s.flushSince(s.begun.Load()) }

// flushSince syncs unless a sync succeeded that began after the one numbered
// asked.
func (s *Store) flushSince(asked uint64) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	if s.reached > asked {
		return nil
	}
	return s.syncAll()
}

// syncAll syncs all; settling is held.
func (s *Store) syncAll() error {
	turn := s.begun.Add(1)
	s.changed.Store(false)
	s.syncs.Add(1)
	if err := s.ops.SyncAll(s.State); err != nil {
		s.changed.Store(true)
		return fmt.Errorf("cannot sync state folder: %w", err)
	}
	s.reached = turn
	return nil
}

// Syncs counts the calls of fsync and syncfs so far.
func (s *Store) Syncs() uint64 { return s.syncs.Load() }

// Put writes an object in place of the one of that name.
func (s *Store) Put(k Kind, name string, v any, d Durability) error {
	path, err := k.path(s.State, name)
	if err == nil {
		err = s.mayReplace(path)
	}
	if err == nil {
		var raw []byte
		if raw, err = encode(k.Version, v); err == nil {
			err = s.write(k, path, raw, d)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write %s %s: %w", k.Word, name, s.plainly(err))
	}
	return nil
}

// Get reads an object into v. A missing one is an fs.ErrNotExist, a damaged
// one a *TornError, one of a newer mycompose a *NewerError.
func (s *Store) Get(k Kind, name string, v any) error {
	path, err := k.path(s.State, name)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", k.Word, err)
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %s %s: %w", k.Word, name, fs.ErrNotExist)
	}
	if errors.Is(err, syscall.EISDIR) {
		return s.setAside(k, name, path, err)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s %s: %w", k.Word, name, err)
	}
	version, body, err := decode(raw)
	if err != nil {
		return s.setAside(k, name, path, err)
	}
	if version > k.Version {
		return s.refuse(path, &NewerError{k.Word, name, version, k.Version, body})
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("cannot read %s %s: %w", k.Word, name, err)
	}
	return nil
}

// Names lists the objects of a kind, sorted.
func (s *Store) Names(k Kind) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.State, k.Folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list %ss: %w", k.Word, err)
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if k.File == "" {
			var ok bool
			if name, ok = strings.CutSuffix(name, ".json"); !ok {
				continue
			}
		} else if _, err := os.Lstat(filepath.Join(s.State, k.Folder, name, k.File)); err != nil {
			continue
		}
		if folder.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Load reads all objects of a kind by name. Objects that cannot be read are
// left out; err joins what is wrong with them (TornError, NewerError), and
// what could be read is returned beside it.
func Load[T any](s *Store, k Kind) (map[string]T, error) {
	names, err := s.Names(k)
	if err != nil {
		return nil, err
	}
	all := make(map[string]T, len(names))
	var problems []error
	for _, name := range names {
		var v T
		err := s.Get(k, name, &v)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted in between
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all[name] = v
	}
	return all, errors.Join(problems...)
}

// Delete removes an object, and its folder if nothing else is in it. A missing
// object is success.
func (s *Store) Delete(k Kind, name string) error {
	path, err := k.path(s.State, name)
	if err == nil {
		err = s.mayReplace(path)
	}
	if err == nil {
		s.changed.Store(true)
		err = s.ops.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot delete %s %s: %w", k.Word, name, err)
	}
	if k.File != "" {
		// Fails with ENOTEMPTY as long as its owner has something there.
		_ = s.ops.Remove(filepath.Dir(path))
	}
	return nil
}
