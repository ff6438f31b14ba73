package wire

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnLastThread runs f on a locked thread that ends with it, wherever f has taken it:
// into other namespaces, or control groups. The main thread cannot end, and what it is
// in the whole process shows: it waits for another.
func OnLastThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			OnLastThread(f)
			runtime.UnlockOSThread()
			return
		}
		f() // still locked: the thread ends
	}()
	<-done
}
