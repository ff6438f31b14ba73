package volume

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// remote reports whether the device is on a server.
func (f FileSystem) remote() bool {
	return strings.HasPrefix(f.Type, "nfs") || f.Type == "cifs" || f.Type == "smb3" || f.Type == "ceph" || f.Type == "9p"
}

// failed says in a user's words what an error of mount(2) means, and what to do;
// said is what the kernel has said beside it.
func (f FileSystem) failed(err error, said string) error {
	cause, todo := f.cause(err)
	if cause == "" {
		return fmt.Errorf("%s of %s cannot be mounted%s: %w", f.Type, f.Device, said, err)
	}
	return fmt.Errorf("%s%s: %w; %s", cause, said, err, todo)
}

func (f FileSystem) cause(err error) (cause, todo string) {
	is := func(list ...unix.Errno) bool {
		for _, errno := range list {
			if errors.Is(err, errno) {
				return true
			}
		}
		return false
	}
	switch {
	case is(unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ETIMEDOUT, unix.ECONNREFUSED, unix.EHOSTDOWN, unix.ECONNRESET):
		return fmt.Sprintf("the server of %s does not answer", f.Device), "look at addr, at the way there, and whether it runs"
	case is(unix.EPROTONOSUPPORT):
		return fmt.Sprintf("the server of %s does not speak this version of %s", f.Device, f.Type), "write another version into o"
	case f.remote() && is(unix.EACCES, unix.EPERM, unix.ENOKEY):
		return fmt.Sprintf("the server does not give %s to this host", f.Device), "look at what it exports and to whom, and at the user and password in o"
	case f.remote() && is(unix.ENOENT, unix.ENXIO):
		return fmt.Sprintf("the server has no %s, or does not show it to this host", f.Device), "look at what it exports"
	case is(unix.ENOENT):
		return fmt.Sprintf("there is no device %s", f.Device), "connect it, or change device"
	case is(unix.ENOTBLK, unix.EISDIR, unix.ENOTDIR):
		return fmt.Sprintf("%s is no block device", f.Device), "change device; losetup makes one of a file"
	case is(unix.ENXIO, unix.ENOMEDIUM):
		return fmt.Sprintf("there is nothing behind the device %s", f.Device), "connect it, or change device"
	case is(unix.EBUSY):
		return fmt.Sprintf("%s is in use in another way", f.Device), "unmount it there, or write the same options"
	case is(unix.EROFS, unix.EACCES):
		return fmt.Sprintf("%s cannot be written to", f.Device), "add ro to o"
	case is(unix.EUCLEAN):
		return fmt.Sprintf("the %s on %s is damaged", f.Type, f.Device), "check it (fsck)"
	case is(unix.EINVAL):
		return fmt.Sprintf("there is no %s on %s, or it does not take these options", f.Type, f.Device), "look at type, device and o"
	}
	return "", ""
}
