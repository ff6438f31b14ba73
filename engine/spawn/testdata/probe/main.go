// Command probe makes the system calls that tests name, inside a container,
// and prints what each answered: "unshare: operation not permitted", "ok" if
// nothing.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	for _, name := range os.Args[1:] {
		fmt.Printf("%s: %s\n", name, answer(name))
	}
}

func answer(name string) string {
	path := []byte("/tmp\x00")
	kind := []byte("tmpfs\x00")
	p, k := uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&kind[0]))
	var errno unix.Errno
	call := func(number uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno = unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	}
	switch name {
	case "getpid":
		call(unix.SYS_GETPID)
	case "unshare-user":
		call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	case "mount":
		call(unix.SYS_MOUNT, k, p, k, 0, 0)
	case "keyctl":
		call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 0)
	case "bpf":
		call(unix.SYS_BPF, unix.BPF_MAP_CREATE, 0, 0)
	case "perf_event_open":
		call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0)
	case "open_by_handle_at":
		call(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0)
	case "io_uring_setup":
		call(unix.SYS_IO_URING_SETUP, 1, 0)
	case "clone-newns":
		call(unix.SYS_CLONE, unix.CLONE_NEWNS|uintptr(unix.SIGCHLD), 0, 0, 0, 0)
	case "clone3":
		call(unix.SYS_CLONE3, 0, 0)
	case "int80-getpid":
		return result80(int80(20, 0))
	case "int80-unshare-user":
		return result80(int80(310, unix.CLONE_NEWUSER))
	case "x32-unshare-user":
		call(1<<30|272, unix.CLONE_NEWUSER)
	case "session-keyring":
		id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(id)
	case "mknod-open-disk":
		return mknodOpen()
	default:
		return "unknown probe"
	}
	if errno != 0 {
		return errno.Error()
	}
	return "ok"
}

func mknodOpen() string {
	answers := ""
	for _, major := range []uint32{8, 253, 254, 259} {
		const path = "/tmp/disk"
		_ = unix.Unlink(path)
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(major, 0))); err != nil {
			return "mknod: " + err.Error()
		}
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err == nil {
			unix.Close(fd)
			return fmt.Sprintf("opened %d:0", major)
		}
		answers += fmt.Sprintf("[%d:0 %v]", major, err)
	}
	return answers
}

func result80(r int32) string {
	if r < 0 {
		return unix.Errno(-r).Error()
	}
	return "ok"
}
