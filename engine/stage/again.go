package stage

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// A container that is started again finds its mounts as its last run left them.
// Only /proc belongs to a pid namespace that is gone, unless an init holds that. It
// is taken away with all that lies on it, and made anew by who is in the new one.

// renewProc does so where the stage itself is in the new pid namespace.
func (s *stage) renewProc() error {
	unix.Umask(0)
	for _, step := range []func() error{
		s.openRoot, s.freeOldProc, s.mountProc, s.setSysctls, s.maskPaths, s.makeWorkingDirectory,
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
	if err := fault.Errno("direct:again"); err != nil {
		return failed("mount", "cannot start in place: %v", err)
	}
	unix.Umask(0)
	for _, step := range []func() error{d.join, d.openRoot} {
		if err := step(); err != nil {
			return err
		}
	}
	if d.newPID() {
		if err := d.freeOldProc(); err != nil {
			return err
		}
		if d.procPlace, err = d.systemPlace("/proc"); err != nil {
			return err
		}
	}
	if inProc(d.Process.Cwd) {
		return nil // entering it will tell
	}
	return d.makeWorkingDirectory()
}

// behindOldInit reports whether the init of the last run is process 1.
func (d *direct) behindOldInit() bool { return d.isAgain() && !d.Namespaces.PID }

// openRoot opens the container's root, which is the thread's.
func (s *stage) openRoot() (err error) {
	if s.root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return failed("mount", "cannot open the container's root: %v", err)
	}
	s.opened = append(s.opened, s.root)
	return nil
}

// freeOldProc takes the old /proc away.
func (s *stage) freeOldProc() error {
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
