// Package parts holds the two other programs of mycompose inside this one:
// small (keeper, monitor, stage, init, proxy) as it is, and the builder
// compressed with zstd.
//
// `make build` fills the folder bin before it builds mycompose; a binary built
// without that works as far as `version`, and says what is missing otherwise.
package parts

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// all: also takes the committed .gitkeep, so that an empty folder builds.
//
//go:embed all:bin
var bin embed.FS

// ErrMissing is the cause when this binary was built without its parts.
var ErrMissing = errors.New("built without its parts: run make build")

// Small returns the bytes of the small program.
func Small() ([]byte, error) {
	return read(bin, "bin/small")
}

// Builder makes sure that the builder lies unpacked in dir and returns its
// path. The name holds the digest of the packed bytes: another version is
// another file, and an older one is removed. Two callers at once are fine.
func Builder(dir string) (string, error) {
	return unpack(bin, dir)
}

// Present reports whether this binary holds its parts.
func Present() bool {
	_, small := fs.Stat(bin, "bin/small")
	_, builder := fs.Stat(bin, "bin/builder.zst")
	return small == nil && builder == nil
}

func read(from fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(from, name)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(data) == 0) {
		return nil, fmt.Errorf("cannot find %s: %w", filepath.Base(name), ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", filepath.Base(name), err)
	}
	return data, nil
}

func unpack(from fs.FS, dir string) (string, error) {
	packed, err := read(from, "bin/builder.zst")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(packed)
	path := filepath.Join(dir, "builder-"+hex.EncodeToString(sum[:8]))
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return path, nil // the name appears only once all bytes are there
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot unpack the builder: %w", err)
	}
	if err := write(packed, path); err != nil {
		return "", fmt.Errorf("cannot unpack the builder: %w", err)
	}
	removeOthers(dir, path)
	return path, nil
}

func write(packed []byte, path string) (err error) {
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		return err
	}
	defer decoder.Close()
	program, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "unpack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(program)
	err = errors.Join(err, f.Chmod(0o500), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// removeOthers drops older builders. A running one keeps its open file; one
// that cannot be removed costs only space.
func removeOthers(dir, keep string) {
	olds, _ := filepath.Glob(filepath.Join(dir, "builder-*"))
	for _, old := range olds {
		if old != keep {
			_ = os.Remove(old)
		}
	}
}
