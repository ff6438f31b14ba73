package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const paxXattr = "SCHILY.xattr."

// setXattrs sets the extended attributes of a PAX header. What the file
// system or the kernel does not know is left out, as every engine does.
func setXattrs(header *tar.Header, set func(name string, value []byte) error) error {
	for key, value := range header.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || ownXattr(name) {
			continue
		}
		if err := set(name, []byte(value)); err != nil && !ignorableXattr(name, err) {
			return fmt.Errorf("cannot set attribute %s: %w", name, err)
		}
	}
	return nil
}

// ownXattr says whether name steers overlayfs: an archive or a container must
// not say what a layer hides or where it leads to.
func ownXattr(name string) bool {
	return strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.")
}

func ignorableXattr(name string, err error) bool {
	if errors.Is(err, unix.ENOTSUP) {
		return true
	}
	// A file capability that is lost changes what a program may do: tell.
	return name != "security.capability" && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL))
}

// throughProc names base in the directory descriptor for the calls that have
// no *at form. The kernel follows the descriptor, base is one plain element.
func throughProc(dir int, base string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + base
}

func setxattrAt(dir int, base, name string, value []byte) error {
	if err := unix.Lsetxattr(throughProc(dir, base), name, value, 0); err != nil {
		return fmt.Errorf("cannot set attribute %s: %w", name, err)
	}
	return nil
}

// chmodAt sets the mode of base itself; base must be no symbolic link.
// fchmodat(2) would follow one, so the node is pinned first.
func chmodAt(dir int, base string, mode uint32) error {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode&0o7777)
}

// futimens sets access and modification time of an open file.
func futimens(fd int, times [2]unix.Timespec) error {
	return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
}

// xattrIO lists, reads or sets the attributes of one file.
type xattrIO struct {
	list func(buf []byte) (int, error)
	get  func(name string, buf []byte) (int, error)
	set  func(name string, value []byte) error
}

// openXattrs works on an open file or directory.
func openXattrs(fd int) xattrIO {
	return xattrIO{
		list: func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) },
		set:  func(name string, value []byte) error { return unix.Fsetxattr(fd, name, value, 0) },
	}
}

// nodeXattrs works on base in dir itself, also if it is a symbolic link.
func nodeXattrs(dir int, base string) xattrIO {
	path := throughProc(dir, base)
	return xattrIO{
		list: func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) },
		set:  func(name string, value []byte) error { return unix.Lsetxattr(path, name, value, 0) },
	}
}

// copyXattrs copies all attributes but overlayfs's own. Lists and values have
// at most 64 KiB each (xattr(7)).
func copyXattrs(from, to xattrIO) error {
	n, err := from.list(nil)
	if n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	names := make([]byte, 64<<10)
	if n, err = from.list(names); err != nil {
		return fmt.Errorf("cannot list attributes: %w", err)
	}
	value := make([]byte, 64<<10)
	for raw := range bytes.SplitSeq(names[:n], []byte{0}) {
		name := string(raw)
		if name == "" || ownXattr(name) {
			continue
		}
		n, err := from.get(name, value)
		if err == nil {
			err = to.set(name, value[:n])
		}
		if err != nil && !errors.Is(err, unix.ENODATA) && !ignorableXattr(name, err) {
			return fmt.Errorf("cannot copy attribute %s: %w", name, err)
		}
	}
	return nil
}

// copyAttributes gives the open file or directory to the owner, mode, extended
// attributes and times of from; times come last.
func copyAttributes(from, to int, st *unix.Stat_t) error {
	if err := setOwnerMode(to, Owner{Mode: st.Mode, UID: st.Uid, GID: st.Gid}); err != nil {
		return err
	}
	if err := copyXattrs(openXattrs(from), openXattrs(to)); err != nil {
		return err
	}
	return futimens(to, [2]unix.Timespec{st.Atim, st.Mtim})
}

// copyNodeAttributes is copyAttributes for base in both directories.
func copyNodeAttributes(fromDir, toDir int, base string, st *unix.Stat_t) error {
	if err := unix.Fchownat(toDir, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := chmodAt(toDir, base, st.Mode); err != nil {
			return err
		}
	}
	if err := copyXattrs(nodeXattrs(fromDir, base), nodeXattrs(toDir, base)); err != nil {
		return err
	}
	return unix.UtimesNanoAt(toDir, base, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}
