package stage

import (
	"encoding/binary"
	"errors"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/vfork"
)

// Direct reports whether Start works on this architecture, and not the build tag
// stage is set. Where it does not, spawn executes the stage. Being a constant, it
// leaves the other way out of the program.
const Direct = vfork.Possible

// Started is what Start has started. Failed starts may have processes, to be
// killed and waited for, with a PIDFD to be closed.
type Started struct {
	Process
	// Init is the reaping init as process 1 beside it; without one its PID is 0.
	// It ends when it is killed, and all of its pid namespace with it.
	Init     Process
	Terminal int // the pty's master, -1 if none was asked for
}

// Process is a child of the caller.
type Process struct{ PID, PIDFD int }

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
// only a child is in a new pid namespace. With an init there are two children: the
// init is the first one, with all of the list but what is the program's own, and
// the second one, in the namespaces of the first, executes the program. Both are
// the caller's children: the init needs to tell nobody how the program ended, and
// another program can come in its place. The price is that the program's parent,
// getppid(2), is 0, as that of process 1 is. A process between the two that ends
// (fork twice) would make it the init's child, but then only the init learns how
// it ended: before PIDFD_GET_INFO of Linux 6.15 nobody but a parent can ask.
type direct struct {
	stage
	list    *vfork.List
	memory  []byte // the list's
	explain map[*vfork.Call]func(unix.Errno) error
	stdio   [3]int

	hostProc  int // the host's /proc, from before it was covered
	procPlace int
	cgroups   []cgroupPlace
	slave     int           // the terminal's
	init      int           // the init's program
	programs  []*vfork.Call // each tries to execute the program, or the init
	pidfd     vfork.Address
	initFD    int // pidfd of the init that is process 1 already
}

// Start starts a recipe. files[i] are what its Files mean, stdio what becomes 0,
// 1 and 2 (all above 2; unused with a terminal). The calling goroutine must be
// locked to a thread that is not the main one and that ends with it: it is left
// in namespaces of the container. The error is the stage's.
func Start(r *recipe.Recipe, files []int, stdio [3]int) (Started, error) {
	d := &direct{
		stage: stage{Recipe: r, files: files, root: -1},
		stdio: stdio, explain: map[*vfork.Call]func(unix.Errno) error{},
		hostProc: -1, procPlace: -1, slave: -1, init: -1, initFD: -1,
	}
	if d.files == nil {
		d.files = []int{}
	}
	started := Started{Process: Process{PIDFD: -1}, Init: Process{PIDFD: -1}, Terminal: -1}
	if r.Version != recipe.Version {
		return started, failed("stage", "cannot start from a recipe of version %d: this program knows %d", r.Version, recipe.Version)
	}
	defer d.close()
	err := d.compose(&started)
	if err == nil && d.init >= 0 {
		if started.Init, err = d.child(d.writeInit); err == nil {
			err = d.enterInit(started.Init.PIDFD)
		}
	}
	if err == nil {
		err = d.awaitGate()
	}
	if err == nil {
		started.Process, err = d.child(d.writeProgram)
	}
	if err != nil {
		d.leaveMounts()
	}
	return started, err
}

// leaveMounts has the thread of a failed start let go of the container's mounts:
// it ends later than the caller hears of the failure, and an overlay must end
// before the next one is mounted over the same folders. A failure leaves it to
// the thread's end.
func (d *direct) leaveMounts() {
	if d.hostProc < 0 {
		return // it has left nothing
	}
	// That of the main thread, which never leaves it.
	own, err := unix.Openat(d.hostProc, "self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Setns(own, unix.CLONE_NEWNS) // EINVAL before it has parted from the other threads
		unix.Close(own)
	}
}

// child makes a child that does what write writes.
func (d *direct) child(write func()) (p Process, err error) {
	if err := d.newList(write); err != nil {
		return Process{PIDFD: -1}, err
	}
	return d.run()
}

// newList makes a list of what write writes. Its memory is the child's too until
// that has executed a program or ended, and the next child's then.
func (d *direct) newList(write func()) error {
	if d.list == nil {
		memory, err := unix.Mmap(-1, 0, memoryFor(d.Recipe), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return failed("stage", "cannot start: no memory: %v", err)
		}
		d.memory, d.list = memory, vfork.NewList(memory)
	} else {
		d.list.Reset()
	}
	d.explain, d.programs = map[*vfork.Call]func(unix.Errno) error{}, nil
	d.pidfd = d.list.Room(8)
	write()
	if d.list.Full() {
		return failed("stage", "cannot start: the recipe is too large")
	}
	return nil
}

// enterInit has the next child be in the init's pid namespace; in the others the
// thread is.
func (d *direct) enterInit(pidfd int) error {
	d.initFD, d.init = pidfd, -1
	if err := unix.Setns(pidfd, unix.CLONE_NEWPID); err != nil {
		return failed("setns", "cannot enter the pid namespace: %v", err)
	}
	return nil
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
	if d.memory != nil {
		_ = unix.Munmap(d.memory) // only what is no mapping cannot be unmapped
	}
}

// keep has a descriptor closed at the end of the start.
func (d *direct) keep(fd int) int {
	d.opened = append(d.opened, fd)
	return fd
}

// newPID reports whether the next child is the first in a pid namespace.
func (d *direct) newPID() bool { return d.Namespaces.PID && !d.isExec() && d.initFD < 0 }

// makesSystem reports whether the next child mounts /proc and what else only a
// child can.
func (d *direct) makesSystem() bool {
	return d.newPID() || d.Namespaces.Mount && d.initFD < 0
}

// programNumber is the number of the program behind an init.
const programNumber = 2

// numberTries is how often that number is asked for, with a pause that grows by
// numberPause: half a second in all.
const (
	numberTries = 100
	numberPause = 100 * time.Microsecond
)

// run makes the child and looks at what came of it.
func (d *direct) run() (Process, error) {
	clone := &vfork.CloneArgs{
		Flags:      unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		PIDFD:      uint64(d.pidfd),
		ExitSignal: uint64(unix.SIGCHLD),
	}
	if d.newPID() {
		clone.Flags |= unix.CLONE_NEWPID
	}
	if d.behindOldInit() {
		// As at its first start, and where the init sends signals to.
		number := binary.NativeEndian.AppendUint32(nil, programNumber)
		clone.SetTID, clone.SetTIDSize = uint64(d.list.Bytes(number)), 1
	}
	for _, f := range d.Cgroups {
		if isFolder(d.fd(f)) {
			clone.Flags |= unix.CLONE_INTO_CGROUP
			clone.Cgroup = uint64(d.fd(f))
		}
	}
	restore := blockSignals()
	pid := d.list.Run(clone)
	for try := range numberTries {
		if !d.behindOldInit() || pid != -int64(unix.EEXIST) {
			break
		}
		// The kernel gives a number back a moment after its last user has gone.
		time.Sleep(time.Duration(try) * numberPause)
		pid = d.list.Run(clone)
	}
	restore()
	runtime.KeepAlive(d)
	if pid < 0 {
		errno := unix.Errno(-pid)
		if errno == unix.EAGAIN {
			return Process{PIDFD: -1}, failed("fork", "cannot start: no further process may be made in the container's cgroup: its pids limit is reached (%v)", errno)
		}
		if errno == unix.ENOMEM && d.initGone() { // what clone(2) says of a namespace that has ended
			return Process{PIDFD: -1}, failed("fork", "cannot start: its init was killed before the program was executed; is a memory limit too low?")
		}
		return Process{PIDFD: -1}, failed("fork", "cannot start: %v", errno)
	}
	p := Process{int(pid), int(int32(d.list.Word(d.pidfd)))}
	if c := d.list.Failed(); c != nil {
		return p, d.failure(c)
	}
	if !d.isProgram(d.list.Current()) {
		cause := "is a memory limit too low?"
		if d.isExec() {
			cause = "has the container ended?"
		}
		return p, failed("stage", "cannot start: it was killed before it was executed; %s", cause)
	}
	return p, nil
}

// initGone reports whether the init that the next child would be behind has ended: its
// pidfd is readable then, pidfd_open(2).
func (d *direct) initGone() bool {
	poll := []unix.PollFd{{Fd: int32(d.initFD), Events: unix.POLLIN}} // -1 is not looked at
	n, _ := unix.Poll(poll, 0)
	return n > 0
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
	if d.Init && d.newPID() { // without a pid namespace there is nothing to reap
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
	return d.enterOthers(joinCgroup) // that one is the child's to enter
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
