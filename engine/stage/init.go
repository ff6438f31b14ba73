package stage

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// InitMain is the small program under the name recipe.InitName, PID 1 of a
// container with `init: true`: it executes its arguments as a child, forwards
// signals to it, reaps whatever is orphaned, and ends with the child's exit
// code, 128+n if signal n killed it. It has the rights of the container's
// process, no more, and runs from a sealed file. It never returns.
func InitMain() {
	name, err := unix.BytePtrFromString(recipe.InitName)
	if err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0) // for ps only
	}
	unix.CloseOnExec(recipe.FDChannel)
	ch := channel{recipe.FDChannel}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, forwarded()...)
	child, err := startChild(os.Args[1:], os.Environ())
	if err != nil {
		ch.report(err)
		os.Exit(FailureOf(err).Code)
	}
	unix.Close(ch.fd)
	giveTerminal(child)
	// It ends with the process, like everything else here.
	go func() {
		for sig := range signals {
			_ = syscall.Kill(child, sig.(syscall.Signal)) // ended already: reaped below
		}
	}()
	os.Exit(reap(child))
}

func startChild(args, env []string) (pid int, err error) {
	attr := &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if len(args) == 0 {
		return 0, failed("exec", "cannot execute: no command is given")
	}
	err = search(args[0], env, func(path string) error {
		var err error
		pid, err = syscall.ForkExec(path, args, attr)
		return err
	})
	return pid, err
}

// giveTerminal makes the child's group the one in front of the terminal, if
// there is one. If it has read from it before, it was stopped; then it goes
// on.
func giveTerminal(child int) {
	if err := unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, child); err == nil {
		_ = syscall.Kill(-child, syscall.SIGCONT)
	}
}

// reap waits for all children until the main one has ended.
func reap(child int) (code int) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return codeFailed
		}
		if pid != child {
			continue
		}
		if status.Signaled() {
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}

// forwarded are all signals but those that concern the init itself: its
// children, its terminal, its own faults, and SIGURG, which the Go runtime
// sends to itself.
func forwarded() []os.Signal {
	own := map[syscall.Signal]bool{
		syscall.SIGKILL: true, syscall.SIGSTOP: true, syscall.SIGCHLD: true,
		syscall.SIGTTIN: true, syscall.SIGTTOU: true, syscall.SIGURG: true,
		syscall.SIGSEGV: true, syscall.SIGBUS: true, syscall.SIGFPE: true,
		syscall.SIGILL: true, syscall.SIGTRAP: true, syscall.SIGSYS: true,
	}
	var all []os.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		if n != 32 && n != 33 && !own[n] { // 32, 33 belong to C libraries
			all = append(all, n)
		}
	}
	return all
}
