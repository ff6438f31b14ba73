package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/mycompose/mycompose/engine/folder"
)

// Locate finds the place of a state folder, which need not exist yet. An empty
// dir means folder.DefaultStateDir, an empty runRoot folder.DefaultRunRoot.
func Locate(dir, runRoot string) (folder.Place, error) {
	if dir == "" {
		dir = folder.DefaultStateDir
	}
	if runRoot == "" {
		runRoot = folder.DefaultRunRoot
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return folder.Place{}, fmt.Errorf("cannot find state folder %s: %w", dir, err)
	}
	abs, err = realPath(abs)
	if err != nil {
		return folder.Place{}, fmt.Errorf("cannot find state folder %s: %w", dir, err)
	}
	tag := Tag(abs)
	return folder.Place{State: abs, RunRoot: runRoot, Run: filepath.Join(runRoot, tag), Tag: tag}, nil
}

// Tag names everything of the state folder with this real path: the first 8
// hex digits of its SHA-256.
func Tag(realPath string) string {
	sum := sha256.Sum256([]byte(realPath))
	return hex.EncodeToString(sum[:4])
}

// realPath resolves links in what exists of an absolute path.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	real, err = realPath(parent)
	return filepath.Join(real, filepath.Base(path)), err
}
