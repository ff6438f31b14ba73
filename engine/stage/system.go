package stage

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

func setOption(fs int, option string) error {
	key, value, ok := strings.Cut(option, "=")
	if !ok {
		return unix.FsconfigSetFlag(fs, key)
	}
	return unix.FsconfigSetString(fs, key, value)
}

// mountSystem mounts a file system of the kernel on a folder of the root that
// must be a folder, not a symbolic link, and is made if missing.
func (s *stage) mountSystem(kind, target string, attr int, options ...string) (int, error) {
	place, err := openPlain(s.root, target, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdirat(s.root, strings.TrimPrefix(target, "/"), 0o755); err == nil {
			place, err = openPlain(s.root, target, unix.O_PATH|unix.O_DIRECTORY)
		}
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return -1, failed("mount", "cannot mount %s: it is not a folder in the image", target)
	}
	if err != nil {
		return -1, failed("mount", "cannot make mount point %s: %v", target, err)
	}
	defer unix.Close(place)
	mount, err := newFS(kind, attr, options...)
	if err != nil {
		return -1, failed("mount", "cannot mount %s: %v", target, err)
	}
	if err := attach(mount, place); err != nil {
		return -1, failed("mount", "cannot mount %s: %v", target, err)
	}
	return mount, nil
}

func (s *stage) mountProc() error {
	_, err := s.mountSystem("proc", "/proc", quiet)
	return err
}

func (s *stage) mountSys() error {
	attr := quiet | unix.MOUNT_ATTR_RDONLY
	if s.WritableSys {
		attr = quiet
	}
	if _, err := s.mountSystem("sysfs", "/sys", attr); err != nil {
		return err
	}
	if len(s.CgroupMounts) == 0 {
		return nil
	}
	for _, c := range s.CgroupMounts {
		if c.Dir == "" {
			_, err := s.mountSystem(c.Type, "/sys/fs/cgroup", attr)
			return err
		}
	}
	return s.mountHierarchies(attr)
}

// mountHierarchies mounts v1 hierarchies in folders of a small tmpfs.
func (s *stage) mountHierarchies(attr int) error {
	dir, err := s.mountSystem("tmpfs", "/sys/fs/cgroup", quiet, "mode=755", "size=64k")
	if err != nil {
		return err
	}
	for _, c := range s.CgroupMounts {
		if err := unix.Mkdirat(dir, c.Dir, 0o755); err != nil {
			return failed("mount", "cannot mount cgroup %s: %v", c.Dir, err)
		}
		var options []string
		if c.Options != "" {
			options = strings.Split(c.Options, ",")
		}
		mount, err := newFS(c.Type, attr, options...)
		if err == nil {
			err = s.attachBelow(mount, dir, c.Dir)
			unix.Close(mount)
		}
		if err != nil {
			return failed("mount", "cannot mount cgroup %s: %v", c.Dir, err)
		}
		// cpu and cpuacct lead to cpu,cpuacct, as everywhere.
		if names := strings.Split(c.Dir, ","); len(names) > 1 {
			for _, name := range names {
				if err := unix.Symlinkat(c.Dir, dir, name); err != nil {
					return failed("mount", "cannot link cgroup %s: %v", name, err)
				}
			}
		}
	}
	if s.WritableSys {
		return nil
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(dir, "", unix.AT_EMPTY_PATH, readOnly); err != nil {
		return failed("mount", "cannot make /sys/fs/cgroup read-only: %v", err)
	}
	return nil
}

// attachBelow attaches a mount on an entry of a folder that is ours alone.
func (s *stage) attachBelow(mount, dir int, name string) error {
	place, err := openPlain(dir, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return attach(mount, place)
}
