package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// Devices returns the device node source of the host as target in a
// container; a folder (/dev/snd) gives all device nodes below it. An empty
// target means the same path.
func Devices(source, target string) ([]recipe.Device, error) {
	if target == "" {
		target = source
	}
	target = filepath.Clean(target)
	if !strings.HasPrefix(target, "/dev/") {
		return nil, fmt.Errorf("cannot give device %s as %s: the target must be below /dev", source, target)
	}
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return nil, fmt.Errorf("cannot find device %s: %w", source, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, fmt.Errorf("cannot find device %s: %w", source, err)
	}
	if info.IsDir() {
		return devicesBelow(real, target)
	}
	device, ok, err := deviceNode(real, target)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("cannot give device %s: it is not a device node", source)
	}
	return []recipe.Device{device}, nil
}

// HostDevices returns all device nodes of the host's /dev, for privileged
// containers; pseudo terminals, shared memory and message queues are left
// out, since each container has its own.
func HostDevices() ([]recipe.Device, error) {
	return devicesBelow("/dev", "/dev")
}

func devicesBelow(source, target string) (devices []recipe.Device, err error) {
	own := []string{"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx"}
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // went away meanwhile
		}
		if err != nil {
			return err
		}
		rest := strings.TrimPrefix(path, source)
		if slices.Contains(own, target+rest) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 {
			return nil
		}
		device, ok, err := deviceNode(path, target+rest)
		if ok {
			devices = append(devices, device)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list devices of %s: %w", source, err)
	}
	return devices, nil
}

func deviceNode(path, target string) (recipe.Device, bool, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, unix.ENOENT) {
		return recipe.Device{}, false, nil
	}
	if err != nil {
		return recipe.Device{}, false, fmt.Errorf("cannot look at device %s: %w", path, err)
	}
	kind := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFBLK:
		kind = "b"
	default:
		return recipe.Device{}, false, nil
	}
	return recipe.Device{
		Path: target, Type: kind, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)),
	}, true, nil
}
