package stage

import (
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// buildRoot makes the container's mount namespace what the recipe says and
// makes its root the process's. For an exec there is nothing to build.
func (s *stage) buildRoot() error {
	switch {
	case s.isExec():
		return nil
	case s.isAgain():
		return s.renewProc()
	}
	if !s.Namespaces.Mount {
		return failed("mount", "cannot start: a container needs a mount namespace of its own")
	}
	if err := fault.Errno("stage:root"); err != nil {
		return failed("mount", "cannot attach the container's root: %v", err)
	}
	unix.Umask(0)
	s.root = s.fd(s.Root)
	steps := []func() error{
		s.attachRoot, s.mountProc, s.mountSys, s.mountDev, s.mountAll,
		s.setHostname, s.setSysctls, s.maskPaths, s.makeWorkingDirectory,
		s.pivot, s.protectRoot,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// attachRoot puts the recipe's detached root over / of this namespace, which
// is a private copy of the host's. Paths of this process go on to mean the
// host's tree until pivot.
func (s *stage) attachRoot() error {
	if err := leaveChroot(); err != nil {
		return failed("mount", "cannot go to the root of the mount namespace: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return failed("mount", "cannot part from the host's mounts: %v", err)
	}
	if err := unix.MoveMount(s.root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return failed("mount", "cannot attach the root file system: %v", err)
	}
	return nil
}

// leaveChroot makes the root of this mount namespace the thread's root, which
// it is not if the daemon runs in a chroot(2): setns(2) does that even for the
// namespace one is in. pivot_root(2) then replaces the namespace's own root,
// which is what a later exec comes to. What the container gets is open already.
func leaveChroot() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	namespace, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	return unix.Setns(namespace, unix.CLONE_NEWNS)
}

// pivot makes the attached root / and lets go of the host's tree:
// pivot_root(2) with both places the same.
func (s *stage) pivot() error {
	if err := unix.Fchdir(s.root); err != nil {
		return failed("pivot_root", "cannot enter the root file system: %v", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return failed("pivot_root", "cannot make the root file system /: %v", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return failed("pivot_root", "cannot let go of the host's files: %v", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return failed("pivot_root", "cannot enter /: %v", err)
	}
	return nil
}

func (s *stage) protectRoot() error {
	if !s.ReadonlyRoot {
		return nil
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(s.root, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return failed("mount", "cannot make / read-only: %v", err)
	}
	return nil
}

// newFS makes a file system as a detached mount. Options are "key=value", or
// "key" for a flag.
func newFS(kind string, attr int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, option := range options {
		if err := setOption(fs, option); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigSetString(fs, "source", kind); err != nil {
		return -1, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
}

// attach moves a detached mount onto an open target.
func attach(mount, target int) error {
	return unix.MoveMount(mount, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
