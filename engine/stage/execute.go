package stage

import (
	"errors"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// execute replaces this program; it returns only with an error.
func (s *stage) execute() error {
	if len(s.Process.Args) == 0 {
		return failed("exec", "cannot execute: no command is given")
	}
	if err := s.channel.send(recipe.MessageReady, nil, -1); err != nil {
		return err
	}
	resetSignals()
	if s.Init && !s.isExec() {
		return s.executeInit()
	}
	return search(s.Process.Args[0], s.Process.Env, func(path string) error {
		return syscall.Exec(path, s.Process.Args, s.Process.Env)
	})
}

// awaitGate waits until the program may be executed.
func (s *stage) awaitGate() error {
	if s.Gate == nil {
		return nil
	}
	for {
		n, err := unix.Read(s.fd(*s.Gate), make([]byte, 1))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return failed("gate", "cannot wait for what the container needs: %v", err)
		case n == 0:
			return failed("gate", "cannot start: the start was called off")
		default:
			return nil
		}
	}
}

// search tries what a shell would: the name itself if it has a slash, else
// each folder of PATH. try returns only with an error, like execve(2).
func search(name string, env []string, try func(path string) error) error {
	if strings.Contains(name, "/") {
		return execError(name, try(name))
	}
	var denied error
	for dir := range strings.SplitSeq(lookPath(env), ":") {
		if dir == "" {
			dir = "."
		}
		err := try(dir + "/" + name)
		switch {
		case err == nil:
			return nil
		case isMissing(err):
		case errors.Is(err, unix.EACCES):
			denied = err
		default:
			return execError(name, err)
		}
	}
	if denied != nil {
		return execError(name, denied)
	}
	return notFound("cannot execute %s: executable file not found in $PATH", name)
}

func lookPath(env []string) string {
	for _, entry := range env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			return path
		}
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

func execError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return notFound("cannot execute %s: no such file or directory", name)
	case errors.Is(err, unix.ENOEXEC):
		return failed("exec", "cannot execute %s: exec format error", name)
	}
	return failed("exec", "cannot execute %s: %v", name, err)
}

func notFound(format, name string) error {
	err := failed("exec", format, name)
	var f *failure
	if errors.As(err, &f) {
		f.Code = codeNotFound
	}
	return err
}

// executeInit executes this same program, by descriptor, as the reaping init;
// the channel stays open for it.
func (s *stage) executeInit() error {
	if _, err := unix.FcntlInt(recipe.FDChannel, unix.F_SETFD, 0); err != nil {
		return failed("init", "cannot keep the channel for the init: %v", err)
	}
	argv, err := syscall.SlicePtrFromStrings(append([]string{recipe.InitName}, s.Process.Args...))
	if err != nil {
		return failed("init", "cannot execute %s: %v", s.Process.Args[0], err)
	}
	envp, err := syscall.SlicePtrFromStrings(s.Process.Env)
	if err != nil {
		return failed("init", "cannot execute %s: %v", s.Process.Args[0], err)
	}
	empty, err := unix.BytePtrFromString("")
	if err != nil {
		return failed("init", "cannot execute %s: %v", s.Process.Args[0], err)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, recipe.FDProgram, uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	return failed("init", "cannot execute the init: %v", errno)
}

// lastSignal is the kernel's _NSIG, signal(7).
const lastSignal = 64

// resetSignals undoes what a parent may have left ignored; handlers go at
// execve by themselves.
func resetSignals() {
	// struct kernel_sigaction: handler, flags, restorer (amd64), mask; all
	// zero is SIG_DFL.
	var action [4]uint64
	for sig := 1; sig <= lastSignal; sig++ { // SIGKILL and SIGSTOP refuse it
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
}
