package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// PutContent keeps the bytes of a config or secret as a 0600 file and returns
// its digest: 64 hex digits of the SHA-256. Equal content is kept once.
func (s *Store) PutContent(content []byte, d Durability) (digest string, err error) {
	sum := sha256.Sum256(content)
	digest = hex.EncodeToString(sum[:])
	path, err := s.contentPath(digest)
	if err != nil {
		return "", err
	}
	if there, err := os.ReadFile(path); err == nil && sha256.Sum256(there) == sum {
		return digest, nil
	}
	if err := s.replace(path, content, d); err != nil {
		return "", fmt.Errorf("cannot keep content %s: %w", digest[:12], s.plainly(err))
	}
	return digest, nil
}

// Content reads what PutContent kept. A missing one is an fs.ErrNotExist.
func (s *Store) Content(digest string) ([]byte, error) {
	path, err := s.contentPath(digest)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, syscall.EISDIR) {
		return nil, s.setAside(Kind{Word: "content"}, digest[:12], path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read content %s: %w", digest[:12], err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		return nil, s.setAside(Kind{Word: "content"}, digest[:12], path, errTorn)
	}
	return content, nil
}

// DeleteContent forgets a content; a missing one is success.
func (s *Store) DeleteContent(digest string) error {
	path, err := s.contentPath(digest)
	if err != nil {
		return err
	}
	if err := s.ops.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot delete content %s: %w", digest[:12], err)
	}
	return nil
}

// Contents lists the digests of all contents.
func (s *Store) Contents() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.State, "contents"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list contents: %w", err)
	}
	var digests []string
	for _, entry := range entries {
		if _, err := s.contentPath(entry.Name()); err == nil {
			digests = append(digests, entry.Name())
		}
	}
	return digests, nil
}

func (s *Store) contentPath(digest string) (string, error) {
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != digest {
		return "", fmt.Errorf("cannot use content %q: not a SHA-256 in hex", digest)
	}
	return filepath.Join(s.State, "contents", digest), nil
}
