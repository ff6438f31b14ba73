package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// topOfHierarchies is FS_TOPDIR_FL of linux/fs.h, chattr(1) T: the folders below
// have nothing to do with each other.
const topOfHierarchies = 0x00020000

// Spread has an ext4 without a journal lay the folders made below dir in
// different block groups. There each new file is looked for among all inodes of
// its group that were deleted within the last minute (recently_deleted in
// fs/ext4/ialloc.c), some ten for each container that has gone: 2 ms of a start
// after a few hundred. Anywhere else it does nothing; with a journal, folders
// that lie together are written together.
func Spread(dir string) error {
	if without, err := withoutJournal(dir); err != nil || !without {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot spread folders: %w", err)
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil && flags&topOfHierarchies == 0 {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|topOfHierarchies))
	}
	if err != nil {
		return fmt.Errorf("cannot spread folders below %s: %w", dir, err)
	}
	return nil
}

// withoutJournal reports whether dir lies on such an ext4: its journal_task in
// sysfs, fs/ext4/sysfs.c, is then "<none>".
func withoutJournal(dir string) (bool, error) {
	var st unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Stat(dir, &st), unix.Statfs(dir, &system)); err != nil {
		return false, fmt.Errorf("cannot look at the file system of %s: %w", dir, err)
	}
	if system.Type != unix.EXT4_SUPER_MAGIC {
		return false, nil
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err == nil {
		var task []byte
		task, err = os.ReadFile(filepath.Join("/sys/fs/ext4", filepath.Base(device), "journal_task"))
		if err == nil {
			return strings.TrimSpace(string(task)) == "<none>", nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // no sysfs, or an ext3
	}
	return false, fmt.Errorf("cannot look at the file system of %s: %w", dir, err)
}
