package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	dataName = "_data"
	fillName = "_fill"
)

// CheckName refuses names that are no plain file name: they become folders.
func CheckName(name string) error {
	if !plainName(name) {
		return fmt.Errorf("cannot use volume name %q: only [a-zA-Z0-9_.-] are allowed, beginning with a letter or digit, at most 255", name)
	}
	return nil
}

// plainName reports whether a name is [a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}; a
// regular expression would be compiled at the start of every command.
func plainName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= 255
}

// Data returns the folder that containers see of the volume in dir.
func Data(dir string) string { return filepath.Join(dir, dataName) }

// Create makes the volume folder dir with empty content, or with a link to the
// folder device if it is not ""; an existing one is left as it is. The folder
// is 0700, so that no local user reaches a setuid file that a container leaves
// in the content.
func Create(dir, device string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return fmt.Errorf("cannot create volume %s: %w", filepath.Base(dir), err)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		if device == "" {
			err = os.Mkdir(Data(dir), 0o755)
		} else if err = folder(device); err == nil {
			err = os.Symlink(device, Data(dir))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot create volume %s: %w", filepath.Base(dir), err)
	}
	return nil
}

// folder refuses a path that is no folder.
func folder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "bind", Path: path, Err: unix.ENOTDIR}
	}
	return err
}

// Remove deletes the volume in dir with its content; a missing one is success.
// What is mounted as its content is unmounted, and stays where it is.
func Remove(dir string) error {
	if err := Unmount(dir); err != nil {
		return fmt.Errorf("cannot remove volume %s: %w", filepath.Base(dir), err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot remove volume %s: %w", filepath.Base(dir), err)
	}
	return nil
}

// List returns the names of the volume folders below root, sorted.
func List(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Empty reports whether the volume in dir holds nothing.
func Empty(dir string) (bool, error) {
	f, err := os.Open(Data(dir))
	if err != nil {
		return false, fmt.Errorf("cannot look into volume %s: %w", filepath.Base(dir), err)
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0, notEOF(err)
}

// Fill gives an empty volume its first content: copyTo fills a fresh folder,
// which takes the place of the empty one in one step, so that a crash leaves
// either nothing or everything. A volume that is not empty is left alone. No
// running container may use the volume.
func Fill(dir string, copyTo func(folder string) error) error {
	empty, err := Empty(dir)
	if err != nil || !empty {
		return err
	}
	if device, err := os.Readlink(Data(dir)); err == nil {
		return copyTo(device) // of the host: not ours to replace
	}
	if on, err := Mounted(dir); err != nil || on {
		if err != nil {
			return err
		}
		return fillMounted(Data(dir), copyTo)
	}
	fill := filepath.Join(dir, fillName)
	if err := os.RemoveAll(fill); err != nil {
		return fmt.Errorf("cannot clear a half-filled volume %s: %w", filepath.Base(dir), err)
	}
	if err := os.Mkdir(fill, 0o755); err != nil {
		return fmt.Errorf("cannot fill volume %s: %w", filepath.Base(dir), err)
	}
	err = copyTo(fill)
	if err == nil {
		err = unix.Rename(fill, Data(dir)) // over the empty folder
	}
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		err = nil // somebody else wrote first; the content stays theirs
	}
	if err != nil {
		return fmt.Errorf("cannot fill volume %s: %w", filepath.Base(dir), errors.Join(err, os.RemoveAll(fill)))
	}
	return os.RemoveAll(fill)
}

// fillMounted fills a file system in place. One in memory keeps the mode and the
// owner that its options give it.
func fillMounted(data string, copyTo func(folder string) error) error {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Statfs(data, &fs), unix.Stat(data, &st)); err != nil {
		return fmt.Errorf("cannot fill %s: %w", data, err)
	}
	err := copyTo(data)
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		err = errors.Join(err, unix.Chown(data, int(st.Uid), int(st.Gid)), unix.Chmod(data, st.Mode&0o7777))
	}
	return err
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
