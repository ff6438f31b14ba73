package stage

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/vfork"
)

// Direct reports whether Start works on this architecture, and not the build tag
// stage is set. Where it does not, spawn executes the stage. Being a constant, it
// leaves the other way out of the program.
const Direct = vfork.Possible

// Started is what Start has started. Failed starts may have a PID, to be
// waited for, and a PIDFD to be closed.
type Started struct {
	PID, PIDFD int
	Terminal   int // the pty's master, -1 if none was asked for
}

// direct is a start without a program of its own: what needs no new process is
// done by a thread of the caller, in fresh namespaces, and the rest is a list of
// system calls for a child of vfork(2):
//
//	thread   not dumpable; mount, ipc, uts namespaces; network namespace joined
//	         root attached, /sys, /dev, mounts in order, pivot_root, terminal
//	         (again: all joined, the old /proc let go)
//	child    cgroups, oom score, cgroup namespace, /proc and its masks, stdio,
//	         rlimits, keyring, working directory, rights → execve
//
// /proc and the cgroup file systems show the namespaces of who mounts them, and
// only a child is in a new pid namespace.
type direct struct {
	stage
	list    *vfork.List
	explain map[*vfork.Call]func(unix.Errno) error
	stdio   [3]int

	hostProc  int // the host's /proc, from before it was covered
	procPlace int
	cgroups   []cgroupPlace
	slave     int           // the terminal's
	init      int           // the init's program
	programs  []*vfork.Call // each tries to execute the program
	last      *vfork.Call   // executes the init
	pidfd     vfork.Address
}

// Start starts a recipe. files[i] are what its Files mean, stdio what becomes 0,
// 1 and 2 (all above 2; unused with a terminal). The calling goroutine must be
// locked to a thread that is not the main one and that ends with it: it is left
// in namespaces of the container. The error is the stage's.
func Start(r *recipe.Recipe, files []int, stdio [3]int) (Started, error) {
	d := &direct{
		stage: stage{Recipe: r, files: files, root: -1},
		stdio: stdio, explain: map[*vfork.Call]func(unix.Errno) error{},
		hostProc: -1, procPlace: -1, slave: -1, init: -1,
	}
	if d.files == nil {
		d.files = []int{}
	}
	started := Started{PIDFD: -1, Terminal: -1}
	if r.Version != recipe.Version {
		return started, failed("stage", "cannot start from a recipe of version %d: this program knows %d", r.Version, recipe.Version)
	}
	defer d.close()
	memory, err := unix.Mmap(-1, 0, memoryFor(r), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return started, failed("stage", "cannot start: no memory: %v", err)
	}
	defer func() { _ = unix.Munmap(memory) }() // only ours can be unmapped, and it is
	d.list = vfork.NewList(memory)
	if err := d.compose(&started); err != nil {
		return started, err
	}
	d.writeList()
	if d.list.Full() {
		return started, failed("stage", "cannot start: the recipe is too large")
	}
	return started, d.run(&started)
}

// memoryFor is room for the list of calls and what it points to, in bytes; what
// is not used costs nothing.
func memoryFor(r *recipe.Recipe) int {
	size := 2<<20 + len(r.Process.Seccomp)
	for _, all := range [][]string{r.Process.Args, r.Process.Env} {
		for _, s := range all {
			size += len(s) + 64
		}
	}
	// The name of the program once for each folder of PATH.
	size += 2 * len(lookPath(r.Process.Env)) * (1 + len(r.Process.Args[:min(1, len(r.Process.Args))]))
	return (size + 4095) &^ 4095
}

func (d *direct) close() {
	for _, fd := range d.opened {
		unix.Close(fd)
	}
	for _, m := range d.later {
		unix.Close(m.mount)
	}
}

// keep has a descriptor closed at the end of the start.
func (d *direct) keep(fd int) int {
	d.opened = append(d.opened, fd)
	return fd
}

// run makes the child and looks at what came of it.
func (d *direct) run(started *Started) error {
	clone := &vfork.CloneArgs{
		Flags:      unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		PIDFD:      uint64(d.pidfd),
		ExitSignal: uint64(unix.SIGCHLD),
	}
	if d.Namespaces.PID && !d.isExec() {
		clone.Flags |= unix.CLONE_NEWPID
	}
	for _, f := range d.Cgroups {
		if isFolder(d.fd(f)) {
			clone.Flags |= unix.CLONE_INTO_CGROUP
			clone.Cgroup = uint64(d.fd(f))
		}
	}
	restore := blockSignals()
	pid := d.list.Run(clone)
	restore()
	runtime.KeepAlive(d)
	if pid < 0 {
		errno := unix.Errno(-pid)
		if errno == unix.EAGAIN {
			return failed("fork", "cannot start: no further process may be made in the container's cgroup: its pids limit is reached (%v)", errno)
		}
		return failed("fork", "cannot start: %v", errno)
	}
	started.PID = int(pid)
	started.PIDFD = int(int32(d.list.Word(d.pidfd)))
	if c := d.list.Failed(); c != nil {
		return d.failure(c)
	}
	if c := d.list.Current(); c != d.last && !d.isProgram(c) {
		cause := "is a memory limit too low?"
		if d.isExec() {
			cause = "has the container ended?"
		}
		return failed("stage", "cannot start: it was killed before it was executed; %s", cause)
	}
	return nil
}

// failure says what a failed call means.
func (d *direct) failure(c *vfork.Call) error {
	if explain := d.explain[c]; explain != nil {
		return explain(unix.Errno(c.Errno()))
	}
	return failed("stage", "cannot start: %v", unix.Errno(c.Errno()))
}

// blockSignals blocks all signals of this thread: a handler of Go's must not run
// in a child that shares its memory.
func blockSignals() (restore func()) {
	all, before := ^uint64(0), uint64(0)
	setMask(&all, &before)
	return func() { setMask(&before, nil) }
}

func setMask(mask, before *uint64) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(mask)), uintptr(unsafe.Pointer(before)), 8, 0, 0)
	if errno != 0 {
		panic("rt_sigprocmask: " + errno.Error()) // wrong arguments
	}
}

func isFolder(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// compose does what the thread can do.
func (d *direct) compose(started *Started) error {
	// Memory of ours is the child's too until it executes its program.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return failed("stage", "cannot hide the stage: %v", err)
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("stage", "cannot open /proc: %v", err)
	}
	d.hostProc = d.keep(proc)
	if d.Init && !d.isExec() {
		if d.init, err = initProgram(); err != nil {
			return failed("init", "cannot make the init's program: %v", err)
		}
		d.keep(d.init)
	}
	steps := []func() error{d.compositeRoot}
	switch {
	case d.isExec():
		steps = []func() error{d.join, d.changeDirectory}
	case d.isAgain():
		steps = []func() error{d.enterAgain}
	}
	steps = append(steps, func() error { return d.takeTerminal(started) }, func() error { return d.giveStdio(d.stdio[:]) })
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// join enters the namespaces of a container.
func (d *direct) join() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return failed("unshare", "cannot part from the other threads: %v", err)
	}
	if d.Namespaces.Network != recipe.None {
		if err := unix.Setns(d.fd(d.Namespaces.Network), unix.CLONE_NEWNET); err != nil {
			return failed("setns", "cannot enter the network namespace: %v", err)
		}
	}
	for _, j := range d.Namespaces.Join {
		if j.Type == joinCgroup {
			continue // by the child
		}
		flag, ok := namespaceFlag(j.Type)
		if j.Type == "pid" {
			flag, ok = unix.CLONE_NEWPID, true
		}
		if !ok {
			return failed("setns", "cannot enter a namespace of type %q: there is none", j.Type)
		}
		if err := unix.Setns(d.fd(j.File), flag); err != nil {
			return failed("setns", "cannot enter the %s namespace: %v", j.Type, err)
		}
	}
	return nil
}

func (d *direct) takeTerminal(started *Started) error {
	if !d.Process.Terminal {
		return nil
	}
	master, slave, err := d.openTerminal()
	started.Terminal = master
	if slave >= 0 {
		d.slave = d.keep(slave)
	}
	return err
}

// limitError explains a limit that could not be set.
func limitError(r recipe.Rlimit, resource int, err error) error {
	if errors.Is(err, syscall.EPERM) {
		return failed("rlimit", "cannot set ulimit %s to %s:%s: raising the hard limit (%s) needs CAP_SYS_RESOURCE, which this machine does not give",
			r.Type, limitText(r.Soft), limitText(r.Hard), currentHard(resource))
	}
	return failed("rlimit", "cannot set ulimit %s to %s:%s: %v", r.Type, limitText(r.Soft), limitText(r.Hard), err)
}
