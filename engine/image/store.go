package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
)

// nameKind are the references: imagenames/<sha256 of the reference>.json, since
// a reference is no file name.
var nameKind = store.Kind{Word: "image name", Folder: "imagenames", Version: 1}

// Store keeps the records and names of one state folder; the daemon has the
// only one. Its methods may be called by many goroutines.
type Store struct {
	objects *store.Store
	mu      sync.Mutex // held while names change
}

// NewStore keeps images in s.
func NewStore(s *store.Store) *Store { return &Store{objects: s} }

// Listed is an image with what points at it.
type Listed struct {
	Record Record
	Names  []Name // sorted by reference; empty for an untagged image
}

// Put writes the record, unless it is there, and points the names at it.
func (s *Store) Put(ctx context.Context, r Record, names ...Name) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("cannot keep image: %w", err)
	}
	// Shared, so that a delete in progress is over before we look.
	lock, err := s.objects.Lock(ctx, store.Image, r.Digest, folder.Shared)
	if err != nil {
		return fmt.Errorf("cannot keep image: %w", err)
	}
	defer lock.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Given, names = s.given(r.Digest), slices.Clone(names)
	for i, n := range names {
		full, err := Normalize(n.Reference)
		if err != nil {
			return err
		}
		n.Reference, n.Digest, n.Since = full, r.Digest, time.Now()
		names[i] = n
		r.Given = slices.DeleteFunc(r.Given, func(old Name) bool { return old.Reference == full })
		r.Given = append(r.Given, n)
	}
	// Written also if it is there: after a rebuild of the builder's store the
	// same image may lie in other folders.
	if err := s.objects.Put(store.Image, r.Digest, r, store.Cached); err != nil {
		return err
	}
	for _, n := range names {
		if err := s.objects.Put(nameKind, nameFile(n.Reference), n, store.Cached); err != nil {
			return err
		}
	}
	return nil
}

// given are the names that a record was kept under so far.
func (s *Store) given(digest string) []Name {
	old, err := s.Record(digest)
	if err != nil {
		return nil
	}
	return old.Given
}

// restoreName makes a name anew whose object was torn, from the record that it
// was given to last; file is the object's name.
func (s *Store) restoreName(file string) error {
	records, err := store.Load[Record](s.objects, store.Image)
	var last Name
	for _, r := range records {
		for _, n := range r.Given {
			if nameFile(n.Reference) == file && (last.Reference == "" || n.Since.After(last.Since)) {
				last = n
			}
		}
	}
	if last.Reference == "" {
		return err // nobody knows what it was
	}
	return s.objects.Put(nameKind, file, last, store.Cached)
}

// Tag points a further name at the image that word finds.
func (s *Store) Tag(ctx context.Context, word, reference string) error {
	r, _, err := s.Find(word)
	if err != nil {
		return err
	}
	return s.Put(ctx, r, Name{Reference: reference})
}

func nameFile(reference string) string {
	sum := sha256.Sum256([]byte(reference))
	return hex.EncodeToString(sum[:])
}

// Record returns the record of a digest, or ErrNotFound.
func (s *Store) Record(digest string) (Record, error) {
	var r Record
	if err := CheckDigest(digest); err != nil {
		return r, err
	}
	err := s.objects.Get(store.Image, digest, &r)
	if missing(err) {
		return r, fmt.Errorf("%w: %s", ErrNotFound, digest)
	}
	return r, err
}

// missing reports that there is no object: a damaged one was set aside, and the
// image is pulled or built again.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*store.TornError))
}

// Name returns what a reference points at, or ErrNotFound.
func (s *Store) Name(reference string) (Name, error) {
	var n Name
	full, err := Normalize(reference)
	if err != nil {
		return n, err
	}
	err = s.objects.Get(nameKind, nameFile(full), &n)
	if errors.As(err, new(*store.TornError)) && s.restoreName(nameFile(full)) == nil {
		err = s.objects.Get(nameKind, nameFile(full), &n)
	}
	if missing(err) {
		return n, fmt.Errorf("%w: %s", ErrNotFound, reference)
	}
	return n, err
}

// Find looks an image up by reference, digest or the first four or more hex
// digits of its digest or configuration digest ("image id"). The name is empty
// unless a reference found it. Ambiguous digits are an error.
func (s *Store) Find(word string) (Record, Name, error) {
	if CheckDigest(word) == nil {
		if r, err := s.Record(word); !errors.Is(err, ErrNotFound) {
			return r, Name{}, err
		}
	}
	if name, err := s.Name(word); err == nil {
		r, err := s.Record(name.Digest)
		return r, name, err
	} else if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrReference) {
		return Record{}, Name{}, err
	} else if !looksLikeID(word) {
		return Record{}, Name{}, err
	}
	return s.findID(strings.TrimPrefix(word, "sha256:"))
}

func (s *Store) findID(prefix string) (Record, Name, error) {
	records, err := store.Load[Record](s.objects, store.Image)
	if err != nil && len(records) == 0 {
		return Record{}, Name{}, err
	}
	var found []Record
	for _, r := range records {
		if strings.HasPrefix(r.Digest, "sha256:"+prefix) || strings.HasPrefix(r.ConfigDigest, "sha256:"+prefix) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return Record{}, Name{}, fmt.Errorf("%w: %s", ErrNotFound, prefix)
	case 1:
		return found[0], Name{}, nil
	}
	return Record{}, Name{}, fmt.Errorf("image %s is ambiguous: %d images begin with it", prefix, len(found))
}

// Hold reads a record and keeps it from being deleted until release: a create
// holds it until its container's object, which names the record, is written.
func (s *Store) Hold(ctx context.Context, digest string) (r Record, release func(), err error) {
	if err := CheckDigest(digest); err != nil {
		return r, nil, err
	}
	lock, err := s.objects.Lock(ctx, store.Image, digest, folder.Shared)
	if err != nil {
		return r, nil, fmt.Errorf("cannot hold image %s: %w", digest, err)
	}
	if r, err = s.Record(digest); err != nil {
		lock.Unlock()
		return r, nil, err
	}
	return r, func() { lock.Unlock() }, nil
}

// List returns all images, by their first name, the nameless last. An error
// about single objects comes with the rest.
func (s *Store) List() ([]Listed, error) {
	records, errRecords := store.Load[Record](s.objects, store.Image)
	names, errNames := s.names()
	byDigest := map[string][]Name{}
	for _, n := range names {
		byDigest[n.Digest] = append(byDigest[n.Digest], n)
	}
	out := make([]Listed, 0, len(records))
	for digest, r := range records {
		l := Listed{Record: r, Names: byDigest[digest]}
		slices.SortFunc(l.Names, func(a, b Name) int { return strings.Compare(a.Reference, b.Reference) })
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b Listed) int { return strings.Compare(a.key(), b.key()) })
	return out, errors.Join(errRecords, errNames)
}

// names reads all names, those too that had to be made anew.
func (s *Store) names() (map[string]Name, error) {
	names, err := store.Load[Name](s.objects, nameKind)
	torn := store.Torn(err)
	for _, t := range torn {
		if err := s.restoreName(t.Name); err != nil {
			return names, err
		}
	}
	if len(torn) > 0 {
		var errNow error
		names, errNow = store.Load[Name](s.objects, nameKind)
		err = errors.Join(err, errNow)
	}
	return names, err
}

func (l Listed) key() string {
	if len(l.Names) == 0 {
		return "\xff" + l.Record.Digest
	}
	return l.Names[0].Reference
}

// Digests returns the digests of all records, for Client.Keep.
func (s *Store) Digests() ([]string, error) { return s.objects.Names(store.Image) }
