package stage

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

const ttyGroup = 5 // devpts gives it to every pty

// setTerminal opens a pty in the container's own devpts, makes its slave the
// process's stdio and controlling terminal, and sends the master to spawn. No
// path that the container could have changed is followed on the way.
func (s *stage) setTerminal() error {
	if !s.Process.Terminal {
		return nil
	}
	master, slave, err := s.openTerminal()
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(slave, fd, 0); err != nil {
			return failed("terminal", "cannot use the terminal: %v", err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0); errno != 0 {
		return failed("terminal", "cannot make the terminal the controlling one: %v", errno)
	}
	if err := s.channel.send(recipe.MessageTerminal, nil, master); err != nil {
		return failed("terminal", "cannot hand over the terminal: %v", err)
	}
	return nil
}

// openTerminal opens a pty of the process's user; it is /dev/console of a new
// container.
func (s *stage) openTerminal() (master, slave int, err error) {
	if master, err = s.openMaster(); err != nil {
		return -1, -1, err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return master, -1, failed("terminal", "cannot unlock the terminal: %v", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return master, -1, failed("terminal", "cannot open the terminal: %v", errno)
	}
	slave = int(fd)
	if s.Process.Rows > 0 && s.Process.Columns > 0 {
		size := unix.Winsize{Row: s.Process.Rows, Col: s.Process.Columns}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCSWINSZ, uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			return master, slave, failed("terminal", "cannot set the terminal's size: %v", errno)
		}
	}
	if err := unix.Fchown(slave, int(s.Process.UID), ttyGroup); err != nil {
		return master, slave, failed("terminal", "cannot give the terminal to user %d: %v", s.Process.UID, err)
	}
	if !s.isExec() {
		if err := s.bindConsole(slave); err != nil {
			return master, slave, failed("terminal", "cannot make /dev/console: %v", err)
		}
	}
	return master, slave, nil
}

// openMaster opens ptmx of the container's devpts: by the mount's descriptor
// in a new container, by a path without links that must lead to a devpts'
// ptmx in a running one.
func (s *stage) openMaster() (int, error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY
	if !s.isExec() && !s.isAgain() {
		fd, err := openPlain(s.devpts, "ptmx", flags)
		if err != nil {
			return -1, failed("terminal", "cannot open a terminal: %v", err)
		}
		return fd, nil
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, failed("terminal", "cannot open a terminal: %v", err)
	}
	defer unix.Close(root)
	// Looked at before it is opened: opening a node has effects.
	place, err := openPlain(root, "/dev/pts/ptmx", unix.O_PATH)
	if err != nil {
		return -1, failed("terminal", "cannot open a terminal: %v", err)
	}
	defer unix.Close(place)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(place, &fs); err != nil || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return -1, failed("terminal", "cannot open a terminal: the container's /dev/pts is not a devpts")
	}
	// The devpts itself makes ptmx; nobody can put another file there.
	fd, err := openPlain(root, "/dev/pts/ptmx", flags)
	if err != nil {
		return -1, failed("terminal", "cannot open a terminal: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || uint64(st.Rdev) != unix.Mkdev(5, 2) {
		unix.Close(fd)
		return -1, failed("terminal", "cannot open a terminal: the container's /dev/pts/ptmx is something else")
	}
	return fd, nil
}

// bindConsole binds the slave over a fresh file in our own /dev, or over the one
// of the last run.
func (s *stage) bindConsole(slave int) error {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	dev, err := openPlain(root, "/dev", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	if s.isAgain() {
		err = unix.Unmount("/dev/console", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	} else {
		err = unix.Mknodat(dev, "console", unix.S_IFREG|0o600, 0)
	}
	if err != nil {
		return err
	}
	source, err := unix.OpenTree(slave, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	return s.attachBelow(source, dev, "console")
}

// ownPipes gives pipes on 0, 1, 2 to the process's user, so that it can open
// /dev/stdout. Nothing else that lies there changes its owner: it may be the
// host's.
func (s *stage) ownPipes() error { return s.giveStdio([]int{0, 1, 2}) }

func (s *stage) giveStdio(fds []int) error {
	if s.Process.UID == 0 || s.Process.Terminal {
		return nil
	}
	for _, fd := range fds {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.PIPEFS_MAGIC {
			continue
		}
		if err := unix.Fchown(fd, int(s.Process.UID), -1); err != nil {
			return failed("stdio", "cannot give stdio to user %d: %v", s.Process.UID, err)
		}
	}
	return nil
}
