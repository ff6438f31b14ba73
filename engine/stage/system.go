package stage

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
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
	place, err := s.systemPlace(target)
	if err != nil {
		return -1, err
	}
	mount, err := newFS(kind, attr, options...)
	if err != nil {
		return -1, failed("mount", "cannot mount %s: %v", target, err)
	}
	s.opened = append(s.opened, mount)
	if err := attach(mount, place); err != nil {
		return -1, failed("mount", "cannot mount %s: %v", target, err)
	}
	return mount, nil
}

// systemPlace opens such a folder.
func (s *stage) systemPlace(target string) (int, error) {
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
	s.opened = append(s.opened, place)
	return place, nil
}

func (s *stage) mountProc() error {
	_, err := s.mountSystem("proc", "/proc", quiet)
	return err
}

func (s *stage) mountSys() error {
	places, err := s.prepareSys()
	if err != nil {
		return err
	}
	for _, p := range places {
		mount, err := newFS(p.Type, s.sysAttr(), p.options()...)
		if err == nil {
			s.opened = append(s.opened, mount)
			err = attach(mount, p.place)
		}
		if err != nil {
			return failed("mount", "cannot mount cgroup %s: %v", p.Dir, err)
		}
	}
	return nil
}

// cgroupPlace is where a hierarchy goes.
type cgroupPlace struct {
	recipe.CgroupMount
	place int
}

func (p cgroupPlace) options() []string {
	if p.Options == "" {
		return nil
	}
	return strings.Split(p.Options, ",")
}

func (s *stage) sysAttr() int {
	if s.WritableSys {
		return quiet
	}
	return quiet | unix.MOUNT_ATTR_RDONLY
}

// prepareSys mounts /sys, and makes the places of the cgroup hierarchies in it:
// on /sys/fs/cgroup itself, or, for v1, in folders of a small tmpfs there.
func (s *stage) prepareSys() (places []cgroupPlace, err error) {
	if _, err := s.mountSystem("sysfs", "/sys", s.sysAttr()); err != nil {
		return nil, err
	}
	if len(s.CgroupMounts) == 0 {
		return nil, nil
	}
	for _, c := range s.CgroupMounts {
		if c.Dir == "" {
			place, err := s.systemPlace("/sys/fs/cgroup")
			return []cgroupPlace{{c, place}}, err
		}
	}
	dir, err := s.mountSystem("tmpfs", "/sys/fs/cgroup", quiet, "mode=755", "size=64k")
	if err != nil {
		return nil, err
	}
	for _, c := range s.CgroupMounts {
		if err := unix.Mkdirat(dir, c.Dir, 0o755); err != nil {
			return nil, failed("mount", "cannot mount cgroup %s: %v", c.Dir, err)
		}
		place, err := openPlain(dir, c.Dir, unix.O_PATH)
		if err != nil {
			return nil, failed("mount", "cannot mount cgroup %s: %v", c.Dir, err)
		}
		s.opened = append(s.opened, place)
		places = append(places, cgroupPlace{c, place})
		// cpu and cpuacct lead to cpu,cpuacct, as everywhere.
		if names := strings.Split(c.Dir, ","); len(names) > 1 {
			for _, name := range names {
				if err := unix.Symlinkat(c.Dir, dir, name); err != nil {
					return nil, failed("mount", "cannot link cgroup %s: %v", name, err)
				}
			}
		}
	}
	if s.WritableSys {
		return places, nil
	}
	// What is mounted in it is not meant.
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(dir, "", unix.AT_EMPTY_PATH, readOnly); err != nil {
		return nil, failed("mount", "cannot make /sys/fs/cgroup read-only: %v", err)
	}
	return places, nil
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
