package vfork_test

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/vfork"
)

// child runs a list that begin writes, and returns it with what the child wrote
// to its pipe and the status that it ended with.
func child(t *testing.T, write func(l *vfork.List, pipe int)) (l *vfork.List, out string, status unix.WaitStatus) {
	t.Helper()
	if !vfork.Possible {
		t.Skip("needs amd64: lists of system calls are run there only")
	}
	memory, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(memory); err != nil {
			t.Error(err)
		}
	})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l = vfork.NewList(memory)
	write(l, int(writer.Fd()))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		t.Fatal(err)
	}
	pid := l.Run(&vfork.CloneArgs{Flags: unix.CLONE_VM | unix.CLONE_VFORK, ExitSignal: uint64(unix.SIGCHLD)})
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if pid < 0 {
		t.Fatal(unix.Errno(-pid))
	}
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, _ := reader.Read(buf)
	return l, string(buf[:max(n, 0)]), status
}

func say(l *vfork.List, pipe int, text string) *vfork.Call {
	return l.Call(unix.SYS_WRITE, pipe, text, len(text))
}

func TestAListGoesOnAsItsErrorsSay(t *testing.T) {
	l, out, status := child(t, func(l *vfork.List, pipe int) {
		say(l, pipe, "a")
		l.Call(unix.SYS_CLOSE, -1).Accept(uintptr(unix.EBADF))
		say(l, pipe, "b")
		skips := l.Call(unix.SYS_CLOSE, -1).AcceptAll()
		say(l, pipe, "never")
		lands := say(l, pipe, "c")
		skips.OnAccept(lands)
		copied := l.Call(unix.SYS_DUP, pipe) // a result that is an argument
		l.Call(unix.SYS_WRITE, copied, "d", 1)
		goes := say(l, pipe, "e")
		say(l, pipe, "never")
		goes.Next(say(l, pipe, "f"))
		say(l, pipe, "g")
		l.Call(unix.SYS_EXIT_GROUP, 5)
	})
	if out != "abcdefg" || status.ExitStatus() != 5 || l.Failed() != nil {
		t.Errorf("%q, ended with %d, failed %v", out, status.ExitStatus(), l.Failed())
	}
}

func TestAFailureIsKnownWithItsErrno(t *testing.T) {
	var bad *vfork.Call
	l, out, status := child(t, func(l *vfork.List, pipe int) {
		say(l, pipe, "a")
		bad = l.Call(unix.SYS_CHDIR, "/nonesuch").Accept(uintptr(unix.EACCES))
		say(l, pipe, "never")
	})
	if out != "a" || status.ExitStatus() != 127 || l.Failed() != bad || unix.Errno(bad.Errno()) != unix.ENOENT {
		t.Errorf("%q, ended with %d", out, status.ExitStatus())
	}
}

func TestAListWithoutAnEndFails(t *testing.T) {
	l, out, status := child(t, func(l *vfork.List, pipe int) { say(l, pipe, "a") })
	if out != "a" || status.ExitStatus() != 127 || l.Failed() == nil {
		t.Errorf("%q, ended with %d", out, status.ExitStatus())
	}
}

func TestACheckComparesUnderItsMask(t *testing.T) {
	var check *vfork.Call
	l, out, _ := child(t, func(l *vfork.List, pipe int) {
		text := l.String("/x")
		l.Check(text, 0xff, '/', uintptr(unix.EXDEV))
		say(l, pipe, "a")
		check = l.Check(text, 0xff, 'x', uintptr(unix.EXDEV))
		say(l, pipe, "never")
	})
	if out != "a" || l.Failed() != check || unix.Errno(check.Errno()) != unix.EXDEV {
		t.Errorf("%q", out)
	}
}

func TestAfterResetAListIsAsNew(t *testing.T) {
	for name, n := range map[string]int{"few calls": 3, "too many": 1000} {
		memory, fresh := make([]byte, 64<<10), make([]byte, 64<<10)
		vfork.NewList(fresh)
		l := vfork.NewList(memory)
		for range n {
			l.Call(unix.SYS_CHDIR, "/tmp").Accept(2)
			l.Check(l.Bytes([]byte("bytes")), 1, 2, 3)
		}
		if bytes.Equal(memory, fresh) {
			t.Fatal("nothing was written")
		}
		l.Reset()
		if !bytes.Equal(memory, fresh) || l.Full() {
			t.Errorf("%s: not as new, full %v", name, l.Full())
		}
	}
}

func TestTooMuchIsSeenBeforeItIsRun(t *testing.T) {
	for name, write := range map[string]func(l *vfork.List){
		"a long string": func(l *vfork.List) { l.Call(unix.SYS_CHDIR, strings.Repeat("x", 100_000)) },
		"many calls": func(l *vfork.List) {
			for range 1000 {
				l.Call(unix.SYS_GETPID)
			}
		},
	} {
		l := vfork.NewList(make([]byte, 64<<10))
		if write(l); !l.Full() {
			t.Errorf("%s: it found room", name)
		}
	}
}
