package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kernel numbers that x/sys does not name yet, include/uapi/linux.
const (
	mfdExec  = 0x0010 // memfd.h, since 6.3
	sealExec = 0x0020 // fcntl.h, since 6.3
)

// SealProgram returns a descriptor from which a program can be executed and
// through which nobody, root in a container included, can change it: a memfd
// sealed against writing, or, where memfds cannot be executed, a read-only
// detached mount of a copy in stateDir. The program is read from its beginning,
// perhaps twice.
func SealProgram(program io.ReadSeeker, stateDir string) (*os.File, error) {
	file, err := sealedMemfd(program)
	if err == nil {
		if err = executable(file); err == nil {
			return file, nil
		}
		file.Close()
	}
	copied, copyErr := detachedCopy(program, stateDir)
	if copyErr != nil {
		return nil, fmt.Errorf("cannot seal the small program: %w", errors.Join(err, copyErr))
	}
	return copied, nil
}

func sealedMemfd(program io.ReadSeeker) (*os.File, error) {
	const name = "mycompose-small"
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|mfdExec)
	if errors.Is(err, unix.EINVAL) { // older than MFD_EXEC: always executable
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if err := copyTo(file, program); err != nil {
		return nil, errors.Join(fmt.Errorf("write to memfd: %w", err), file.Close())
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|sealExec)
	if errors.Is(err, unix.EINVAL) {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("seal memfd: %w", err), file.Close())
	}
	return file, nil
}

// copyTo is io.Copy without the ways by which that copies in the kernel: they would
// make the small program larger.
func copyTo(file *os.File, from io.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if _, err := file.Write(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// executable asks the kernel without executing: mode, mount flags and security
// modules, by access(2) with the effective ids.
func executable(file *os.File) error {
	path := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	if err := unix.Faccessat2(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("memfd is not executable: %w", err)
	}
	return nil
}

// detachedCopy keeps a copy of the program in the state folder and opens it on a
// read-only mount that stands nowhere. What is opened is what was compared or
// written: another version may put its own in the copy's place at any time.
func detachedCopy(from io.ReadSeeker, stateDir string) (*os.File, error) {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	program, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(stateDir, "small")
	there, err := detached(path)
	if err == nil {
		content, err := io.ReadAll(io.NewSectionReader(there, 0, int64(len(program))+1))
		if err == nil && bytes.Equal(content, program) {
			return there, nil
		}
		there.Close()
	}
	tmp := path + "." + strconv.Itoa(os.Getpid()) + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.WriteFile(tmp, program, 0o500); err != nil {
		return nil, err
	}
	file, err := detached(tmp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// detached opens a file on a read-only mount of its own.
func detached(path string) (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	readonly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &readonly); err != nil {
		return nil, fmt.Errorf("mount_setattr: %w", err)
	}
	// Opened anew for reading: the mount lives as long as this file.
	return os.Open("/proc/self/fd/" + strconv.Itoa(tree))
}
