package stage

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A container that is started again finds its mounts as its last run left them.
// Only /proc belongs to a pid namespace that is gone. It is taken away with all
// that lies on it, and made anew by who is in the new one.

// renewProc does so where the stage itself is in the new pid namespace.
func (s *stage) renewProc() error {
	unix.Umask(0)
	for _, step := range []func() error{
		s.freeOldProc, s.mountProc, s.setSysctls, s.maskPaths, s.makeWorkingDirectory,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// enterAgain is all that the thread does of a start in the namespaces of the
// last run.
func (d *direct) enterAgain() (err error) {
	unix.Umask(0)
	if err := d.join(); err != nil {
		return err
	}
	if err := d.freeOldProc(); err != nil {
		return err
	}
	if d.procPlace, err = d.systemPlace("/proc"); err != nil || inProc(d.Process.Cwd) {
		return err
	}
	return d.makeWorkingDirectory()
}

// freeOldProc opens the container's root, which is the thread's, and takes the
// old /proc away.
func (s *stage) freeOldProc() (err error) {
	if s.root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return failed("mount", "cannot open the container's root: %v", err)
	}
	s.opened = append(s.opened, s.root)
	if err := s.checkProc(); err != nil {
		return failed("mount", "cannot find the container's old /proc: %v", err)
	}
	if err := unix.Unmount("/proc", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return failed("mount", "cannot let go of the container's old /proc: %v", err)
	}
	return nil
}

// checkProc refuses anything but a procfs.
func (s *stage) checkProc() error {
	place, err := openPlain(s.root, "/proc", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(place, &fs); err != nil {
		return err
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return errors.New("another file system lies there")
	}
	return nil
}
