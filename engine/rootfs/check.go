package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUpper marks the error of CheckUpper.
var ErrUpper = errors.New("cannot hold the upper folder of an overlay")

// CheckUpper tries whether the file system of dir can hold the changes of
// containers: it mounts an overlay there, detached, and deletes and renames
// through it. Its error names the file system and --state-dir. dir must
// exist; nothing is left in it.
func CheckUpper(dir string) (err error) {
	probe, err := os.MkdirTemp(dir, ".overlay-probe-")
	if err != nil {
		return fmt.Errorf("cannot write to state folder %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(probe)) }()
	if cause := tryOverlay(probe); cause != nil {
		return fmt.Errorf("cannot keep containers in %s: its file system (%s) %w; choose a folder on ext4, xfs or btrfs with --state-dir (%s)",
			dir, fileSystem(dir), ErrUpper, oneLine(cause))
	}
	return nil
}

// oneLine keeps an error of several parts on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ", ") }

func tryOverlay(probe string) error {
	o := Overlay{Upper: filepath.Join(probe, "upper"), Work: filepath.Join(probe, "work")}
	lower := filepath.Join(probe, "lower")
	o.Layers = []string{lower}
	for _, dir := range []string{lower, o.Upper, o.Work, filepath.Join(lower, "dir")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"file", "dir/file"} {
		if err := os.WriteFile(filepath.Join(lower, name), []byte("x"), 0o644); err != nil {
			return err
		}
	}
	mount, err := o.mount(oneString)
	if err != nil {
		return err
	}
	defer mount.Close()
	fd := int(mount.Fd())
	if err := unix.Unlinkat(fd, "file", 0); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	if err := unix.Unlinkat(fd, "dir/file", 0); err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	if err := unix.Unlinkat(fd, "dir", unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("remove folder: %w", err)
	}
	if err := unix.Mkdirat(fd, "dir", 0o755); err != nil {
		return fmt.Errorf("opaque folder: %w", err)
	}
	return nil
}

// fileSystem returns the type of the file system that holds dir as mount(8)
// shows it.
func fileSystem(dir string) string {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "unknown"
	}
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return "unknown"
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		real = dir
	}
	return fileSystemIn(string(data), real, fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
}

// fileSystemIn finds the type in mountinfo, proc_pid_mountinfo(5): the entry
// of the device if there is one, else (btrfs has devices of its own per
// subvolume) of the deepest mount point above dir.
func fileSystemIn(mountinfo, dir, device string) string {
	best, depth := "unknown", -1
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) == 0 {
			continue
		}
		if fields[2] == device {
			return kind[0]
		}
		point := strings.TrimSuffix(fields[4], "/")
		if (dir == point || strings.HasPrefix(dir, point+"/")) && len(point) >= depth {
			best, depth = kind[0], len(point)
		}
	}
	return best
}
