//go:build !stage

package stage

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// initCode is never called: it is copied.
//
//lint:ignore U1000 assembly has its address
func initCode()

//lint:ignore U1000 assembly has its address
func initCodeEnd()

// initCodeBounds are the addresses of initCode and of what lies behind it.
func initCodeBounds() (begin, end *byte)

// The program of the init, elf(5): header, one loadable segment, the code. It
// is a page of memory where a Go program needs a megabyte.
//
// It reaps whatever is orphaned and forwards signals to the program, which is
// process 2 and not its child. It never ends by itself.
func initImage() []byte {
	const (
		headers = 64 + 56
		base    = 0x400000
	)
	begin, end := initCodeBounds()
	code := unsafe.Slice(begin, uintptr(unsafe.Pointer(end))-uintptr(unsafe.Pointer(begin)))
	le := binary.LittleEndian
	image := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	image = le.AppendUint16(image, 2)  // ET_EXEC
	image = le.AppendUint16(image, 62) // EM_X86_64
	image = le.AppendUint32(image, 1)
	image = le.AppendUint64(image, base+headers) // entry
	image = le.AppendUint64(image, 64)           // program headers
	image = le.AppendUint64(image, 0)
	image = le.AppendUint32(image, 0)
	for _, n := range []uint16{64, 56, 1, 0, 0, 0} {
		image = le.AppendUint16(image, n)
	}
	size := uint64(headers + len(code))
	image = le.AppendUint32(image, 1) // PT_LOAD
	image = le.AppendUint32(image, 5) // readable, executable
	for _, n := range []uint64{0, base, base, size, size, 0x1000} {
		image = le.AppendUint64(image, n)
	}
	return append(image, code...)
}

// Kernel numbers that x/sys does not name yet, include/uapi/linux.
const (
	mfdExec  = 0x0010 // memfd.h, since 6.3
	sealExec = 0x0020 // fcntl.h, since 6.3
)

// initProgram makes a file of the init's program that nobody can write to: a
// sealed memfd, or, where memfds cannot be executed, a file on a read-only
// mount that stands nowhere.
func initProgram() (int, error) {
	fd, err := initMemfd()
	if err == nil {
		return fd, nil
	}
	fd, fileErr := initFile()
	if fileErr != nil {
		return -1, errors.Join(err, fileErr)
	}
	return fd, nil
}

func initFile() (int, error) {
	mount, err := newFS("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "size=64k")
	if err != nil {
		return -1, err
	}
	defer unix.Close(mount)
	file, err := unix.Openat(mount, "init", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o555)
	if err != nil {
		return -1, err
	}
	_, err = unix.Write(file, initImage())
	if err = errors.Join(err, unix.Close(file)); err != nil {
		return -1, err
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return -1, err
	}
	return unix.Openat(mount, "init", unix.O_PATH|unix.O_CLOEXEC, 0)
}

func initMemfd() (int, error) {
	fd, err := unix.MemfdCreate("mycompose-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|mfdExec)
	if errors.Is(err, unix.EINVAL) { // older than MFD_EXEC: always executable
		fd, err = unix.MemfdCreate("mycompose-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, err
	}
	if _, err = unix.Write(fd, initImage()); err == nil {
		const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals|sealExec)
		if errors.Is(err, unix.EINVAL) {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		}
	}
	if err == nil { // by mode, mount flags and security modules
		err = unix.Faccessat2(fd, "", unix.X_OK, unix.AT_EMPTY_PATH|unix.AT_EACCESS)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
