package builder

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

// isolatedVariable marks a process that has been through Isolate.
const isolatedVariable = "MYCOMPOSE_BUILDER_ISOLATED"

// Isolate gives this process a mount namespace of its own, so that whatever
// BuildKit mounts for a moment is seen by nobody and goes with the process,
// however that ends. What the host mounts later is still seen.
//
// A thread can be moved, a Go program cannot: the thread executes the program
// once more. Call it before anything else; descriptors 3 and 4 stay open.
func Isolate() error {
	if os.Getenv(isolatedVariable) != "" {
		os.Unsetenv(isolatedVariable)
		unix.Umask(0) // BuildKit's file operations mean the modes they say
		unix.CloseOnExec(3)
		unix.CloseOnExec(4)
		return log.SetLevel("error")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace: %w", err)
	}
	if err := followOnly(); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), isolatedVariable+"=1"))
	return fmt.Errorf("cannot start again in the new mount namespace: %w", err)
}

// followOnly makes every mount of this namespace a slave of the host's. In a
// chroot(2), where / is no mount, it does so from the namespace's own root,
// which setns(2) leads to, and comes back.
func followOnly() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	namespace, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	return unix.Chroot(".")
}
