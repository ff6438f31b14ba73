package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// asideSuffix ends the name of what was set aside; a number follows where
// there was one before.
const asideSuffix = ".torn"

// moveAside gives what lies at path another name beside it.
func moveAside(path string) (aside string, err error) {
	aside = path + asideSuffix
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); err != nil {
			return aside, os.Rename(path, aside)
		}
		aside = path + asideSuffix + strconv.Itoa(n)
	}
}

// setAside keeps the remains of an object for a person to look at.
func (s *Store) setAside(k Kind, name, path string, cause error) error {
	aside, err := moveAside(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %s %s: %w", k.Word, name, errors.Join(cause, err))
	}
	torn := &TornError{k.Word, name, aside, cause}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.torn = append(s.torn, torn)
	return torn
}

// refuse remembers that an object is a newer mycompose's.
func (s *Store) refuse(path string, newer *NewerError) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[string]*NewerError{}
	}
	s.refused[path] = newer
	return newer
}

// mayReplace refuses to put something in the place of a newer mycompose's.
func (s *Store) mayReplace(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if newer := s.refused[path]; newer != nil {
		return newer
	}
	return nil
}

// Refused returns the *NewerError of an object that a newer mycompose wrote, if
// it was met: neither Put nor Delete touches it.
func (s *Store) Refused(k Kind, name string) error {
	path, err := k.path(s.State, name)
	if err != nil {
		return err
	}
	return s.mayReplace(path)
}

// Aside reports whether objects cannot be read for reasons of their own: they are
// damaged, or a newer mycompose's. Notices name them.
func Aside(err error) bool {
	return errors.As(err, new(*TornError)) || errors.As(err, new(*NewerError))
}

// Torn finds the damaged objects in what Load joined.
func Torn(err error) []*TornError { return each[*TornError](err) }

// Newer finds the objects of a newer mycompose in what Load joined.
func Newer(err error) []*NewerError { return each[*NewerError](err) }

// each finds the errors of a kind among those that are joined in err.
func each[E error](err error) []E {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []E
		for _, err := range joined.Unwrap() {
			out = append(out, each[E](err)...)
		}
		return out
	}
	var one E
	if errors.As(err, &one) {
		return []E{one}
	}
	return nil
}

// Torn are the objects that were set aside since Open.
func (s *Store) Torn() []*TornError {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.torn)
}

// Notices names what a person should know of: what was set aside, now or
// earlier, as long as it lies there, and what is left to a newer mycompose.
func (s *Store) Notices() []string {
	s.mu.Lock()
	var out []string
	for _, newer := range s.refused {
		out = append(out, newer.Error())
	}
	s.mu.Unlock()
	for _, path := range s.Remains() {
		whole, _, _ := strings.Cut(path[len(s.State)+1:], asideSuffix)
		out = append(out, fmt.Sprintf("%s was damaged; its remains are %s (`mycompose system prune` removes them)", whole, path))
	}
	slices.Sort(out)
	return out
}

// Remains are the paths of what was set aside, now or earlier, and lies there.
func (s *Store) Remains() []string {
	return slices.DeleteFunc(s.objectFiles(), func(path string) bool {
		_, number, aside := strings.Cut(filepath.Base(path), asideSuffix)
		return !aside || strings.Trim(number, "0123456789") != ""
	})
}

// objectFolders hold objects, with how deep they lie at most.
var objectFolders = map[string]int{
	"containers": 2, "images": 1, "imagenames": 1, "networks": 2, "volumes": 2, "projects": 3,
	"contents": 1, "inputs": 1, "daemon": 1,
}

// objectFiles lists what may be an object, its temporary file or its remains;
// users' content is not looked at.
func (s *Store) objectFiles() []string {
	out, _ := filepath.Glob(filepath.Join(s.State, formatFile+"*")) // malformed never
	for top, depth := range objectFolders {
		pattern := filepath.Join(s.State, top)
		for range depth {
			pattern = filepath.Join(pattern, "*")
			paths, err := filepath.Glob(pattern)
			if err == nil { // it is malformed never
				out = append(out, paths...)
			}
		}
	}
	return out
}
