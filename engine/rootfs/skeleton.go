package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// points are what every container has something mounted on; a slash at the end
// marks a folder.
func points() []string {
	return []string{"proc/", "sys/", "dev/", "etc/", "etc/hosts", "etc/resolv.conf", "etc/hostname"}
}

// MakeSkeleton makes the folder dir with the mount points that every container
// needs, empty. As the lowest layer of all overlays it spares each start their
// creation; what an image has in their place, a symbolic link or nothing at
// all, lies over it. It may be repeated, and completes what is half made.
func MakeSkeleton(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make mount points: %w", err)
	}
	for _, name := range points() {
		path := filepath.Join(dir, name)
		if name[len(name)-1] == '/' {
			err = os.Mkdir(path, 0o755)
		} else {
			err = makeEmpty(path)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot make mount points: %w", err)
		}
	}
	return nil
}

func makeEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
