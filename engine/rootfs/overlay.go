package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// maxFsconfigString is the longest value fsconfig(2) takes, without its NUL.
const maxFsconfigString = 255

// Overlay is the root file system of one container. All are folders that
// exist, Upper and Work on one file system; the container's changes go to
// Upper, Work belongs to the kernel.
type Overlay struct {
	Layers []string // topmost first, at least one
	Upper  string   // empty: a read-only overlay of the layers
	Work   string
}

// Mount makes the overlay as a detached mount. The file may be attached once,
// by whoever it is handed to.
func Mount(o Overlay) (*os.File, error) {
	if err := fault.Errno("mount:overlay"); err != nil {
		return nil, fmt.Errorf("cannot mount overlay of %d layers: %w", len(o.Layers), err)
	}
	defer fault.Point("mount:overlaid")
	return o.mount(chooseMethod)
}

// method is how an overlay is made; tests force each.
type method int

const (
	chooseMethod   method = iota
	oneString             // fsconfig(2) with one lowerdir: up to about 15 layers
	layerByLayer          // fsconfig(2) with lowerdir+: Linux 6.7
	mountInPrivate        // mount(2) in a private mount namespace: up to a page
)

func (o Overlay) mount(m method) (*os.File, error) {
	opened, err := o.open()
	if err != nil {
		return nil, err
	}
	defer opened.close()
	fd := -1
	switch {
	case m == oneString || m == chooseMethod && len(opened.lowerdir()) <= maxFsconfigString:
		fd, err = opened.fsmount(opened.setOneString)
	case m == layerByLayer:
		fd, err = opened.fsmount(opened.setLayerByLayer)
	case m == mountInPrivate:
		fd, err = o.mountInPrivate()
	default:
		if fd, err = opened.fsmount(opened.setLayerByLayer); err != nil {
			fd, err = o.mountInPrivate()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot mount overlay of %d layers: %w", len(o.Layers), err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

// openOverlay holds the folders of an Overlay by descriptor.
type openOverlay struct {
	layers      []int // topmost first, as overlay wants them
	upper, work int   // -1: none
}

func (o Overlay) open() (*openOverlay, error) {
	if len(o.Layers) == 0 {
		return nil, errors.New("cannot mount overlay: no layers")
	}
	oo := &openOverlay{upper: -1, work: -1}
	for _, layer := range o.Layers {
		fd, err := openFolder("layer", layer)
		if err != nil {
			oo.close()
			return nil, err
		}
		oo.layers = append(oo.layers, fd)
	}
	if o.Upper == "" {
		return oo, nil
	}
	var upperErr, workErr error
	oo.upper, upperErr = openFolder("upper", o.Upper)
	oo.work, workErr = openFolder("work", o.Work)
	if err := errors.Join(upperErr, workErr); err != nil {
		oo.close()
		return nil, err
	}
	return oo, nil
}

func openFolder(what, path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open %s folder %s: %w", what, path, err)
	}
	return fd, nil
}

func (oo *openOverlay) close() {
	for _, fd := range append(slices.Clone(oo.layers), oo.upper, oo.work) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func (oo *openOverlay) lowerdir() string {
	names := make([]string, len(oo.layers))
	for i, fd := range oo.layers {
		names[i] = fdPath(fd)
	}
	return strings.Join(names, ":")
}

func (oo *openOverlay) setOneString(fs int) error {
	return unix.FsconfigSetString(fs, "lowerdir", oo.lowerdir())
}

func (oo *openOverlay) setLayerByLayer(fs int) error {
	for _, fd := range oo.layers {
		if err := unix.FsconfigSetString(fs, "lowerdir+", fdPath(fd)); err != nil {
			return err
		}
	}
	return nil
}

func (oo *openOverlay) fsmount(setLayers func(fs int) error) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := setLayers(fs); err != nil {
		return -1, fmt.Errorf("lower folders: %w", err)
	}
	if oo.upper >= 0 {
		if err := errors.Join(
			unix.FsconfigSetString(fs, "upperdir", fdPath(oo.upper)),
			unix.FsconfigSetString(fs, "workdir", fdPath(oo.work)),
		); err != nil {
			return -1, fmt.Errorf("upper folder: %w", err)
		}
	}
	if err := unix.FsconfigSetString(fs, "source", "overlay"); err != nil {
		return -1, fmt.Errorf("source: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create: %w%s", err, fsLog(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// fsLog returns what the kernel says to a failed fsopen(2) context, in
// brackets, or nothing.
func fsLog(fs int) string {
	var lines []string
	buf := make([]byte, 1024)
	for range 16 {
		n, err := unix.Read(fs, buf)
		if n <= 0 || err != nil {
			break
		}
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "e ")))
	}
	if len(lines) == 0 {
		return ""
	}
	return " (" + strings.Join(lines, "; ") + ")"
}
