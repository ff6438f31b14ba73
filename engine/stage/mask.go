package stage

import (
	"errors"

	"golang.org/x/sys/unix"
)

// maskPaths hides MaskedPaths and makes ReadonlyPaths read-only. Missing ones
// are left out. They are paths of /proc and /sys, which are ours: a symbolic
// link on the way is none of the kernel's, so it is refused.
func (s *stage) maskPaths() error {
	for _, name := range s.ReadonlyPaths {
		if err := s.protectPath(name); err != nil {
			return failed("mask", "cannot make %s read-only: %v", name, err)
		}
	}
	for _, name := range s.MaskedPaths {
		if err := s.maskPath(name); err != nil {
			return failed("mask", "cannot hide %s: %v", name, err)
		}
	}
	return nil
}

func (s *stage) protectPath(name string) error {
	place, err := openPlain(s.root, name, unix.O_PATH)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(place)
	clone, err := unix.OpenTree(place, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(clone)
	if err := makeReadOnly(clone); err != nil {
		return err
	}
	return attach(clone, place)
}

// maskPath puts an empty read-only folder over a folder, and our own
// /dev/null, not the image's, over a file.
func (s *stage) maskPath(name string) error {
	place, err := openPlain(s.root, name, unix.O_PATH)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(place)
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		empty, err := newFS("tmpfs", quiet|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=2")
		if err != nil {
			return err
		}
		defer unix.Close(empty)
		return attach(empty, place)
	}
	null, err := s.ownNull()
	if err != nil {
		return err
	}
	defer unix.Close(null)
	return attach(null, place)
}

// ownNull clones /dev/null and makes sure that it is what it should be, since
// a mount of the recipe may lie over our /dev.
func (s *stage) ownNull() (int, error) {
	place, err := openPlain(s.root, "/dev/null", unix.O_PATH)
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || uint64(st.Rdev) != unix.Mkdev(1, 3) {
		return -1, errors.New("/dev/null is not the null device")
	}
	return unix.OpenTree(place, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
}

func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}
