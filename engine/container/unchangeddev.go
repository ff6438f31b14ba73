package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/tree"
)

// sameDev fails unless what a new start would make in /dev is there as that
// would make it. What else a program has put there stays, as in any tmpfs. The
// calling thread is in the container's mount namespace, and its root is root.
func sameDev(root *tree.Root, in Inputs, devices []recipe.Device) error {
	seen := map[string]bool{}
	for _, d := range append(recipe.DefaultDevices(), devices...) {
		if seen[path.Clean(d.Path)] {
			continue // the first one is made
		}
		seen[path.Clean(d.Path)] = true
		if err := sameDevice(root, d); err != nil {
			return err
		}
	}
	for _, f := range systemFolders(in.Blueprint.HostIPC) {
		if slices.ContainsFunc(in.Mounts, func(m Mount) bool { return isAt(f.name, m.Target) }) {
			continue // it is compared as a mount
		}
		st, err := stat(root, f.name)
		if err == nil {
			err = sameRights(f.name, st, tree.Owner{Mode: f.mode})
		}
		if err != nil {
			return err
		}
	}
	for _, link := range recipe.DeviceLinks() {
		if to, err := root.Readlink(link[0]); err != nil || to != link[1] {
			return errors.Join(anotherFile(link[0]), err)
		}
	}
	return nil
}

// systemFolder is what is root's in a new /dev.
type systemFolder struct {
	name string
	mode uint32 // permission bits and sticky
}

// systemFolders are those that the container does not share with the host.
func systemFolders(hostIPC bool) []systemFolder {
	all := []systemFolder{{"/dev", 0o755}, {"/dev/pts", 0o755}, {"/dev/pts/ptmx", 0o666}}
	if !hostIPC {
		all = append(all, systemFolder{"/dev/shm", 0o1777}, systemFolder{"/dev/mqueue", 0o1777})
	}
	return all
}

// isAt reports whether a path of a container is target or below it.
func isAt(name, target string) bool {
	return strings.HasPrefix(name+"/", strings.TrimSuffix(path.Clean(target), "/")+"/")
}

func sameDevice(root *tree.Root, d recipe.Device) error {
	kinds := map[string]uint16{"c": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}
	st, err := stat(root, d.Path)
	if err != nil {
		return err
	}
	isNode := d.Type == "p" || st.Rdev_major == d.Major && st.Rdev_minor == d.Minor
	if st.Mode&unix.S_IFMT != kinds[d.Type] || !isNode {
		return anotherFile(d.Path)
	}
	if isMountRoot(st) {
		return nil // the host's, where nodes cannot be made: a new one would be it too
	}
	return sameRights(d.Path, st, tree.Owner{Mode: d.Mode, UID: d.UID, GID: d.GID})
}

func anotherFile(name string) error {
	return fmt.Errorf("%s is another file than at its start", name)
}

// sameRights fails unless a file has this mode and owner and no access control
// list, acl(5). The thread's root is the container's.
func sameRights(name string, st unix.Statx_t, want tree.Owner) error {
	const permissions = 0o7777
	if uint32(st.Mode)&permissions != want.Mode&permissions || st.Uid != want.UID || st.Gid != want.GID {
		return fmt.Errorf("%s has mode %o of %d:%d, not %o of %d:%d as at its start", name,
			st.Mode&permissions, st.Uid, st.Gid, want.Mode&permissions, want.UID, want.GID)
	}
	for _, list := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		if _, err := unix.Getxattr(name, list, nil); err == nil {
			return fmt.Errorf("%s has an access control list", name)
		} else if !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("cannot read the access control list of %s: %w", name, err)
		}
	}
	return nil
}

// tmpfsOwner is what a new tmpfs with these options gives its root, tmpfs(5).
func tmpfsOwner(options []string) tree.Owner {
	owner := tree.Owner{Mode: 0o1777}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		base := 10
		if key == "mode" {
			base = 8
		}
		n, err := strconv.ParseUint(value, base, 32)
		if err != nil {
			continue // a flag
		}
		switch key {
		case "mode":
			owner.Mode = uint32(n)
		case "uid":
			owner.UID = uint32(n)
		case "gid":
			owner.GID = uint32(n)
		}
	}
	return owner
}

// stat describes a file of a container, a link itself.
func stat(root *tree.Root, name string) (st unix.Statx_t, err error) {
	f, err := root.OpenFile(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return st, err
	}
	defer f.Close()
	return statFile(f)
}

func statFile(f *os.File) (st unix.Statx_t, err error) {
	const want = unix.STATX_BASIC_STATS | unix.STATX_MNT_ID
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, want, &st); err != nil {
		return st, fmt.Errorf("cannot stat %s: %w", f.Name(), err)
	}
	return st, nil
}

func isMountRoot(st unix.Statx_t) bool { return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 }
