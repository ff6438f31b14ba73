package rootfs

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// mountInPrivate mounts by path in a mount namespace that ends with its
// thread, and takes the mount out of it.
func (o Overlay) mountInPrivate() (fd int, err error) {
	onThrowawayThread(func() { fd, err = o.mountHere() })
	return fd, err
}

// mountHere leaves the calling thread in a mount namespace of its own. The
// folders are opened there: overlay takes none that lie on a mount of another
// namespace.
func (o Overlay) mountHere() (int, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, fmt.Errorf("make mounts private: %w", err)
	}
	opened, err := o.open()
	if err != nil {
		return -1, err
	}
	defer opened.close()
	options := "lowerdir=" + opened.lowerdir()
	if opened.upper >= 0 {
		options += ",upperdir=" + fdPath(opened.upper) + ",workdir=" + fdPath(opened.work)
	}
	if len(options) >= os.Getpagesize() {
		return -1, fmt.Errorf("%d layers are more than this kernel takes", len(opened.layers))
	}
	// Any folder will do as the place: nobody else sees this namespace. It
	// must not hide /proc, which the options name.
	if err := unix.Mount("overlay", "/dev", "overlay", 0, options); err != nil {
		return -1, fmt.Errorf("mount: %w", err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open_tree: %w", err)
	}
	return fd, nil
}

// onThrowawayThread runs f on a thread that ends with it. It is never the
// main thread, which cannot end, and whose namespaces are what /proc/self
// shows to the whole process.
func onThrowawayThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // still locked: the thread ends
		}
		// While this goroutine holds the main thread, the next gets another.
		onThrowawayThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
}
