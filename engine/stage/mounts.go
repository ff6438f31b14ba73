package stage

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// mountAll makes the recipe's mounts in order.
func (s *stage) mountAll() error {
	contents, err := s.contentFS()
	if err != nil {
		return err
	}
	for i, m := range s.Mounts {
		var err error
		switch m.Kind {
		case recipe.MountTree:
			err = s.mountTree(m)
		case recipe.MountTmpfs:
			err = s.mountTmpfs(m)
		case recipe.MountContent:
			err = s.mountContent(m, contents, strconv.Itoa(i))
		default:
			err = errors.New("unknown kind of mount " + string(m.Kind))
		}
		if err != nil {
			return failed("mount", "cannot mount on %s: %v", m.Target, err)
		}
	}
	return nil
}

func (s *stage) mountTree(m recipe.Mount) error {
	source := s.fd(m.File)
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	if m.ReadOnly {
		if err := makeReadOnly(source); err != nil {
			return err
		}
	}
	return s.attachAt(source, m.Target, st.Mode&unix.S_IFMT == unix.S_IFDIR)
}

// makeReadOnly covers what is mounted below wherever that is possible.
func makeReadOnly(mount int) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr) == nil {
		return nil
	}
	return unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH, attr)
}

func (s *stage) mountTmpfs(m recipe.Mount) error {
	attr, options := tmpfsOptions(m.Options)
	if m.ReadOnly {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	mount, err := newFS("tmpfs", attr, options...)
	if err != nil {
		return err
	}
	defer unix.Close(mount)
	return s.attachAt(mount, m.Target, true)
}

// tmpfsOptions parts mount attributes from options of the file system.
func tmpfsOptions(all []string) (attr int, options []string) {
	for _, option := range all {
		switch option {
		case "nosuid":
			attr |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			attr |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			attr |= unix.MOUNT_ATTR_NOEXEC
		case "ro":
			attr |= unix.MOUNT_ATTR_RDONLY
		case "noatime":
			attr |= unix.MOUNT_ATTR_NOATIME
		case "rw", "suid", "dev", "exec", "":
		default:
			options = append(options, option)
		}
	}
	return attr, options
}

// attachAt attaches a mount at a path of the container, which is made if it
// is missing.
func (s *stage) attachAt(mount int, target string, isDir bool) error {
	if path.Clean("/"+target) == "/" {
		return errors.New("the root itself cannot be mounted over")
	}
	if s.heldProc != nil && slices.Contains(replaceable(), path.Clean(target)) {
		return s.attachLater(mount, target, isDir)
	}
	makePoint := makeFile
	if isDir {
		makePoint = makeDir
	}
	place, err := makePoint(s.root, target)
	if errors.Is(err, unix.EROFS) && s.onHeldProc(target) {
		return errProc
	}
	if err != nil {
		return err
	}
	defer unix.Close(place)
	if err := s.checkPlace(place, target, isDir); err != nil {
		return err
	}
	return attach(mount, place)
}

var errProc = errors.New("a container's /proc cannot be mounted over")

// checkPlace refuses a mount over the container's /proc, where the stage and
// the programs inside look for truth; a symbolic link in the image that leads
// there does not help. The exceptions are files that tools like lxcfs replace.
func (s *stage) checkPlace(place int, target string, isDir bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return err
	}
	if pointIsDir := st.Mode&unix.S_IFMT == unix.S_IFDIR; pointIsDir != isDir {
		if isDir {
			return errors.New("a folder cannot be mounted on a file")
		}
		return errors.New("a file cannot be mounted on a folder")
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(place, &fs); err != nil {
		return err
	}
	if s.heldProc != nil && st.Dev == s.heldProc.Dev {
		return errProc
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || slices.Contains(replaceable(), path.Clean(target)) {
		return nil
	}
	return errProc
}

func replaceable() []string {
	return []string{
		"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
		"/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
	}
}

// contentFS makes the tmpfs that holds the recipe's contents, or returns -1 if
// there are none. It hangs in the tree that pivot lets go of, so that the
// container sees nothing but the files bound from it.
func (s *stage) contentFS() (int, error) {
	files, size := 0, int64(0)
	for _, m := range s.Mounts {
		if m.Kind != recipe.MountContent {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(s.fd(m.ContentFile), &st); err != nil {
			return -1, failed("mount", "cannot read content of %s: %v", m.Target, err)
		}
		files++
		size += st.Size
	}
	if files == 0 {
		return -1, nil
	}
	// Room for what a writable /etc/hosts may grow by.
	size += int64(files)*64<<10 + 1<<20
	mount, err := newFS("tmpfs", quiet, "mode=700", "size="+strconv.FormatInt(size, 10))
	if err != nil {
		return -1, failed("mount", "cannot mount a file system for configs and secrets: %v", err)
	}
	s.opened = append(s.opened, mount)
	// The host's /proc, in this namespace's copy of its tree, is used no more.
	if err := unix.MoveMount(mount, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, failed("mount", "cannot attach a file system for configs and secrets: %v", err)
	}
	return mount, nil
}

func (s *stage) mountContent(m recipe.Mount, contents int, name string) error {
	if err := copyContent(s.fd(m.ContentFile), contents, name, m); err != nil {
		return err
	}
	source, err := unix.OpenTree(contents, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	if m.ReadOnly {
		if err := makeReadOnly(source); err != nil {
			return err
		}
	}
	return s.attachAt(source, strings.TrimRight(m.Target, "/"), false)
}

func copyContent(from, dir int, name string, m recipe.Mount) error {
	to, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	buf := make([]byte, 64<<10)
	for offset := int64(0); ; {
		n, err := unix.Pread(from, buf, offset)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if _, err := unix.Write(to, buf[:n]); err != nil {
			return err
		}
		offset += int64(n)
	}
	if err := unix.Fchown(to, int(m.UID), int(m.GID)); err != nil {
		return err
	}
	return unix.Fchmod(to, m.Mode&0o7777)
}
