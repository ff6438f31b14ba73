package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
)

// Removed says what a Remove did. The lease of a deleted record is the
// caller's to release (Client.Release).
type Removed struct {
	Untagged []string // references
	Deleted  string   // digest of the record, if it went too
}

// InUse names the containers that stand on the record of a digest.
type InUse func(digest string) ([]string, error)

// Remove takes away what word names: a reference goes alone as long as others
// point at the image, a digest or id takes all of them. The record goes with
// its last name, unless a container names it: ErrInUse, and nothing changes.
func (s *Store) Remove(ctx context.Context, word string, force bool, inUse InUse) (Removed, error) {
	r, name, err := s.Find(word)
	if err != nil {
		return Removed{}, fmt.Errorf("cannot remove image: %w", err)
	}
	// A create that reads the record now finishes first, and is seen.
	lock, err := s.objects.Lock(ctx, store.Image, r.Digest, folder.Exclusive)
	if err != nil {
		return Removed{}, fmt.Errorf("cannot remove image %s: %w", word, err)
	}
	defer lock.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.namesOf(r.Digest)
	if err != nil {
		return Removed{}, fmt.Errorf("cannot remove image %s: %w", word, err)
	}
	if name.Reference != "" && len(all) > 1 {
		err := s.objects.Delete(nameKind, nameFile(name.Reference))
		return Removed{Untagged: []string{name.Reference}}, err
	}
	if name.Reference == "" && len(all) > 1 && !force {
		return Removed{}, fmt.Errorf("cannot remove image %s: it has several names (%s): use --force", word, familiarList(all))
	}
	users, err := inUse(r.Digest)
	if err != nil {
		return Removed{}, fmt.Errorf("cannot remove image %s: %w", word, err)
	}
	if len(users) > 0 {
		return Removed{}, fmt.Errorf("cannot remove image %s: %w by %s", word, ErrInUse, strings.Join(users, ", "))
	}
	return s.delete(r.Digest, all)
}

// delete removes the names first: a record without names can be removed again,
// a name without record means nothing.
func (s *Store) delete(digest string, names []Name) (Removed, error) {
	var out Removed
	for _, n := range names {
		if err := s.objects.Delete(nameKind, nameFile(n.Reference)); err != nil {
			return out, err
		}
		out.Untagged = append(out.Untagged, n.Reference)
	}
	if err := s.objects.Delete(store.Image, digest); err != nil {
		return out, err
	}
	out.Deleted = digest
	return out, nil
}

// Unnamed returns the digests of records that nothing points at: what rebuilds
// and pulls have left behind, for a prune.
func (s *Store) Unnamed() ([]string, error) {
	all, err := s.List()
	var out []string
	for _, l := range all {
		if len(l.Names) == 0 {
			out = append(out, l.Record.Digest)
		}
	}
	return out, err
}

func (s *Store) namesOf(digest string) ([]Name, error) {
	all, err := s.names()
	if err != nil && !store.Aside(err) {
		return nil, err
	}
	var out []Name
	for _, n := range all {
		if n.Digest == digest {
			out = append(out, n)
		}
	}
	return out, nil
}

func familiarList(names []Name) string {
	var out []string
	for _, n := range names {
		out = append(out, Familiar(n.Reference))
	}
	return strings.Join(out, ", ")
}
