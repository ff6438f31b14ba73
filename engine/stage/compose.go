package stage

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// laterMount is a mount on a file of /proc.
type laterMount struct {
	mount  int
	target string
}

// attachLater keeps a mount for when /proc is there.
func (s *stage) attachLater(mount int, target string, isDir bool) error {
	if isDir {
		return errors.New("a folder cannot be mounted on a file")
	}
	fd, err := unix.FcntlInt(uintptr(mount), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	s.later = append(s.later, laterMount{fd, path.Clean(target)})
	return nil
}

// onHeldProc reports whether what is there of a path ends in the place that is
// held for /proc.
func (s *stage) onHeldProc(target string) bool {
	if s.heldProc == nil {
		return false
	}
	parts := strings.FieldsFunc(target, func(r rune) bool { return r == '/' })
	for n := len(parts); n > 0; n-- {
		fd, err := openIn(s.root, "/"+strings.Join(parts[:n], "/"), unix.O_PATH)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return false
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		return err == nil && st.Dev == s.heldProc.Dev
	}
	return false
}

// compositeRoot makes the container's mount namespace, the thread's from then
// on, all but /proc and the cgroups, and makes its root the thread's.
func (d *direct) compositeRoot() error {
	if !d.Namespaces.Mount {
		return failed("mount", "cannot start: a container needs a mount namespace of its own")
	}
	flags := unix.CLONE_FS | unix.CLONE_NEWNS
	if d.Namespaces.IPC {
		flags |= unix.CLONE_NEWIPC
	}
	if d.Namespaces.UTS {
		flags |= unix.CLONE_NEWUTS
	}
	if err := unix.Unshare(flags); err != nil {
		return failed("unshare", "cannot make the container's namespaces: %v", err)
	}
	if err := d.enterOthers(joinCgroup); err != nil {
		return err
	}
	if err := fault.Errno("direct:root"); err != nil {
		return failed("mount", "cannot attach the container's root: %v", err)
	}
	unix.Umask(0)
	d.root = d.fd(d.Root)
	steps := []func() error{
		d.attachRoot, d.holdProc, d.prepareCgroups, d.mountDev, d.mountAll,
		d.setHostname, d.maskOutsideProc, d.prepareWorkingDirectory,
		d.pivot, d.protectRoot, d.freeProc,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// holdProc puts an empty folder that cannot be written to where /proc will be,
// so that whatever leads there is seen.
func (d *direct) holdProc() (err error) {
	if d.procPlace, err = d.systemPlace("/proc"); err != nil {
		return err
	}
	empty, err := newFS("tmpfs", quiet|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=2")
	if err == nil {
		d.keep(empty)
		d.heldProc = &unix.Stat_t{}
		err = unix.Fstat(empty, d.heldProc)
	}
	if err == nil {
		err = attach(empty, d.procPlace)
	}
	if err != nil {
		return failed("mount", "cannot hold the place of /proc: %v", err)
	}
	return nil
}

// freeProc is its inverse; the container's root is / by then.
func (d *direct) freeProc() error {
	if err := unix.Unmount("/proc", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return failed("mount", "cannot free the place of /proc: %v", err)
	}
	return nil
}

func (d *direct) prepareCgroups() (err error) {
	d.cgroups, err = d.prepareSys()
	return err
}

// prepareWorkingDirectory makes the working directory unless it is in /proc.
func (d *direct) prepareWorkingDirectory() error {
	err := d.makeWorkingDirectory()
	if err != nil && inProc(d.Process.Cwd) {
		return nil // entering it will tell
	}
	return err
}

// maskOutsideProc hides and protects what is not in /proc.
func (d *direct) maskOutsideProc() error {
	whole := d.Recipe
	part := *whole
	part.MaskedPaths, part.ReadonlyPaths = outsideProc(whole.MaskedPaths), outsideProc(whole.ReadonlyPaths)
	d.Recipe = &part
	defer func() { d.Recipe = whole }()
	return d.maskPaths()
}

func inProc(name string) bool {
	name = path.Clean("/" + name)
	return name == "/proc" || strings.HasPrefix(name, "/proc/")
}

func outsideProc(names []string) (out []string) {
	for _, name := range names {
		if !inProc(name) {
			out = append(out, name)
		}
	}
	return out
}
