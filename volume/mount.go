package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// FileSystem is what is mounted as a volume's content.
type FileSystem struct {
	Type   string   // a name of /proc/filesystems
	Device string   // its source: "/dev/sdb1", "server:/export", "tmpfs"
	Words  []string // its options as of mount(8): "ro", "size=1m"
}

// Mount mounts a file system as the content of the volume in dir, in the caller's
// mount namespace; one that has something mounted already is left as it is. An
// error says what to do about it, and holds no password.
func Mount(dir string, f FileSystem) error {
	on, err := Mounted(dir)
	if err != nil || on {
		return err
	}
	if err := os.Mkdir(Data(dir), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("cannot mount volume %s: %w", filepath.Base(dir), err)
	}
	tree, err := f.open()
	if err == nil {
		defer unix.Close(tree)
		err = attach(tree, Data(dir))
	}
	if err != nil {
		return fmt.Errorf("cannot mount volume %s: %w", filepath.Base(dir), err)
	}
	fault.Point("volume:mounted")
	return nil
}

// attach moves a detached mount onto a folder that is no link.
func attach(tree int, folder string) error {
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: folder, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(tree, "", fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount", Path: folder, Err: err}
	}
	return nil
}

// Mounted reports whether something is mounted as the content of the volume in
// dir. It waits for the server of a network file system at most as long as that
// does.
func Mounted(dir string) (bool, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	err := unix.Statx(unix.AT_FDCWD, Data(dir), flags, 0, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look for the mount of volume %s: %w", filepath.Base(dir), err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// Unmount takes away what is mounted as the content of the volume in dir, whoever
// still works there; nothing is success. A server that does not answer is not
// waited for.
func Unmount(dir string) error {
	for {
		err := unix.Unmount(Data(dir), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil: // there may be one below it
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("cannot unmount volume %s: %w", filepath.Base(dir), err)
		}
	}
}

// open makes the detached mount.
func (f FileSystem) open() (int, error) {
	if err := fault.Errno("mount:filesystem"); err != nil {
		return -1, f.failed(err, "")
	}
	fs, err := unix.Fsopen(f.Type, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return -1, fmt.Errorf("this kernel has no file system %s; load its module (modprobe %s) or change type", f.Type, f.Type)
	}
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", f.Type, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "source", f.Device); err != nil {
		return -1, fmt.Errorf("%s does not take the device %s%s: %w", f.Type, f.Device, f.said(fs), err)
	}
	attributes := 0
	for _, word := range f.Words {
		change, known := perMount[word]
		attributes = attributes&^change.clear | change.set
		if known && !change.both {
			continue
		}
		if err := setWord(fs, word); err != nil {
			name, _, _ := strings.Cut(word, "=")
			return -1, fmt.Errorf("%s does not take the mount option %s%s: %w; change o", f.Type, name, f.said(fs), err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, f.failed(err, f.said(fs))
	}
	tree, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, f.failed(err, f.said(fs))
	}
	return tree, nil
}

func setWord(fs int, word string) error {
	if name, value, ok := strings.Cut(word, "="); ok {
		return unix.FsconfigSetString(fs, name, value)
	}
	return unix.FsconfigSetFlag(fs, word)
}

// change is what a word of mount(8) does to the attributes of fsmount(2).
type change struct {
	set, clear int
	both       bool // the file system is to know too
}

// perMount are the words that are, or are also, about the mount.
var perMount = map[string]change{
	"defaults": {}, "norelatime": {}, "nostrictatime": {}, "mand": {both: true}, "nomand": {both: true},
	"ro":     {set: unix.MOUNT_ATTR_RDONLY, both: true},
	"rw":     {clear: unix.MOUNT_ATTR_RDONLY, both: true},
	"nosuid": {set: unix.MOUNT_ATTR_NOSUID}, "suid": {clear: unix.MOUNT_ATTR_NOSUID},
	"nodev": {set: unix.MOUNT_ATTR_NODEV}, "dev": {clear: unix.MOUNT_ATTR_NODEV},
	"noexec": {set: unix.MOUNT_ATTR_NOEXEC}, "exec": {clear: unix.MOUNT_ATTR_NOEXEC},
	"nodiratime": {set: unix.MOUNT_ATTR_NODIRATIME}, "diratime": {clear: unix.MOUNT_ATTR_NODIRATIME},
	"noatime":     {set: unix.MOUNT_ATTR_NOATIME, clear: unix.MOUNT_ATTR__ATIME},
	"strictatime": {set: unix.MOUNT_ATTR_STRICTATIME, clear: unix.MOUNT_ATTR__ATIME},
	"relatime":    {clear: unix.MOUNT_ATTR__ATIME}, "atime": {clear: unix.MOUNT_ATTR__ATIME},
	"nosymfollow": {set: unix.MOUNT_ATTR_NOSYMFOLLOW}, "symfollow": {clear: unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// said is what the kernel says of a file system context that failed, fsopen(2),
// in brackets; or nothing. Values of passwords are taken out.
func (f FileSystem) said(fs int) string {
	var lines []string
	buf := make([]byte, 1024)
	for range 16 {
		n, err := unix.Read(fs, buf)
		if n <= 0 || err != nil {
			break
		}
		if line := strings.TrimSpace(string(buf[:n])); strings.HasPrefix(line, "e ") {
			lines = append(lines, strings.TrimSpace(line[2:]))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	text := strings.Join(slices.Compact(lines), "; ")
	for _, word := range f.Words {
		if name, value, _ := strings.Cut(word, "="); value != "" && strings.HasPrefix(name, "pass") {
			text = strings.ReplaceAll(text, value, "********")
		}
	}
	return " (" + text + ")"
}
