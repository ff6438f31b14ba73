package stage

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

const defaultShmSize = 64 << 20 // bytes, as docker

// mountDev makes a private /dev. Nothing of the image's own /dev is used.
func (s *stage) mountDev() error {
	dev, err := s.mountSystem("tmpfs", "/dev", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_STRICTATIME, "mode=755", "size=65536k")
	if err != nil {
		return err
	}
	for _, device := range append(recipe.DefaultDevices(), s.Devices...) {
		if err := makeDevice(dev, device); err != nil {
			return failed("mount", "cannot make device %s: %v", device.Path, err)
		}
	}
	for _, link := range recipe.DeviceLinks() {
		if err := unix.Symlinkat(link[1], dev, strings.TrimPrefix(link[0], "/dev/")); err != nil {
			return failed("mount", "cannot link %s: %v", link[0], err)
		}
	}
	size := s.ShmSize
	if size == 0 {
		size = defaultShmSize
	}
	const noexec = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	if s.devpts, err = s.mountInDev(dev, "devpts", "pts", noexec, "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"); err != nil {
		return err
	}
	if err = s.mountShm(dev, size); err != nil {
		return err
	}
	_, err = s.mountInDev(dev, "mqueue", "mqueue", quiet)
	return err
}

// mountShm makes /dev/shm; in the host's ipc namespace it is the host's, as its
// message queues are.
func (s *stage) mountShm(dev int, size int64) error {
	if s.Namespaces.IPC {
		_, err := s.mountInDev(dev, "tmpfs", "shm", quiet, "mode=1777", "size="+strconv.FormatInt(size, 10))
		return err
	}
	host, err := unix.OpenTree(unix.AT_FDCWD, "/dev/shm", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		s.opened = append(s.opened, host)
		if err = unix.Mkdirat(dev, "shm", 0o755); err == nil {
			err = s.attachBelow(host, dev, "shm")
		}
	}
	if err != nil {
		return failed("mount", "cannot mount the host's /dev/shm: %v", err)
	}
	return nil
}

func (s *stage) mountInDev(dev int, kind, name string, attr int, options ...string) (int, error) {
	mount, err := newFS(kind, attr, options...)
	if err == nil {
		s.opened = append(s.opened, mount)
		if err = unix.Mkdirat(dev, name, 0o755); err == nil {
			err = s.attachBelow(mount, dev, name)
		}
	}
	if err != nil {
		return -1, failed("mount", "cannot mount /dev/%s: %v", name, err)
	}
	return mount, nil
}

// makeDevice makes a node in our /dev, or, where nodes cannot be made, binds
// the host's.
func makeDevice(dev int, d recipe.Device) error {
	name, ok := strings.CutPrefix(d.Path, "/dev/")
	if !ok {
		return errors.New("it is not below /dev")
	}
	dir, base := dev, name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		made, err := makeDir(dev, name[:i])
		if err != nil {
			return err
		}
		defer unix.Close(made)
		dir, base = made, name[i+1:]
	}
	mode := d.Mode & 0o7777
	switch d.Type {
	case "c":
		mode |= unix.S_IFCHR
	case "b":
		mode |= unix.S_IFBLK
	case "p":
		mode |= unix.S_IFIFO
	default:
		return errors.New("the type must be c, b or p")
	}
	number := unix.Mkdev(d.Major, d.Minor)
	err := unix.Mknodat(dir, base, mode, int(number))
	if errors.Is(err, unix.EEXIST) { // one of the default ones
		return nil
	}
	if errors.Is(err, unix.EPERM) && d.Type != "p" {
		return bindDevice(dir, base, d.Path, mode&unix.S_IFMT, number)
	}
	if err != nil {
		return err
	}
	return unix.Fchownat(dir, base, int(d.UID), int(d.GID), unix.AT_SYMLINK_NOFOLLOW)
}

// bindDevice binds the host's node of the same path, if it is that device.
func bindDevice(dir int, base, path string, kind uint32, number uint64) error {
	source, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || uint64(st.Rdev) != number {
		return errors.New("device nodes cannot be made here, and the host's one of that name is another device")
	}
	if err := unix.Mknodat(dir, base, unix.S_IFREG|0o644, 0); err != nil {
		return err
	}
	place, err := openPlain(dir, base, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return attach(source, place)
}
