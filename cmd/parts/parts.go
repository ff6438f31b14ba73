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
	"io"
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

// Small opens the bytes of the small program, which are not copied for it.
func Small() (io.ReadSeekCloser, error) {
	return open(bin, "bin/small")
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

// open opens a part.
func open(from fs.FS, name string) (io.ReadSeekCloser, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, explain(name, err)
	}
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		return nil, errors.Join(explain(name, fs.ErrNotExist), f.Close())
	}
	part, ok := f.(io.ReadSeekCloser) // as embed.FS promises
	if !ok {
		return nil, errors.Join(fmt.Errorf("cannot read %s: it cannot be read twice", filepath.Base(name)), f.Close())
	}
	return part, nil
}

func explain(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrMissing
	}
	if err != nil {
		err = fmt.Errorf("cannot read %s: %w", filepath.Base(name), err)
	}
	return err
}

func unpack(from fs.FS, dir string) (string, error) {
	packed, err := open(from, "bin/builder.zst")
	if err != nil {
		return "", err
	}
	defer packed.Close()
	// It is much of this program, and has been read for this alone.
	defer unmap("r--p")
	sum := sha256.New()
	if _, err := io.Copy(sum, packed); err != nil {
		return "", explain("builder", err)
	}
	path := filepath.Join(dir, "builder-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return path, nil // the name appears only once all bytes are there
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot unpack the builder: %w", err)
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return "", explain("builder", err)
	}
	if err := write(packed, path); err != nil {
		return "", fmt.Errorf("cannot unpack the builder: %w", err)
	}
	removeOthers(dir, path)
	return path, nil
}

func write(packed io.Reader, path string) (err error) {
	decoder, err := zstd.NewReader(packed)
	if err != nil {
		return err
	}
	defer decoder.Close()
	f, err := os.CreateTemp(filepath.Dir(path), "unpack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = io.Copy(f, decoder)
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
