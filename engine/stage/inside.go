package stage

import (
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/vfork"
)

// Of linux/mount.h, which x/sys has as constants of its wrappers only.
const (
	fsconfigSetFlag   = 0
	fsconfigSetString = 1
	fsconfigCreate    = 6
)

// call adds a system call that fails with words of its own: a step, and a text
// that the errno is put behind.
func (d *direct) call(step, text string, number uintptr, args ...any) *vfork.Call {
	c := d.list.Call(number, args...)
	d.explain[c] = func(errno unix.Errno) error { return failed(step, "%s: %v", text, errno) }
	return c
}

// writeProgram writes what the child does that executes the program, in order.
func (d *direct) writeProgram() {
	d.callBegin()
	if d.makesSystem() {
		d.callSystem()
	}
	d.callStdio()
	d.callRlimits()
	d.callKeyring()
	if !d.isExec() {
		d.callWorkingDirectory()
	}
	d.callSignals()
	d.callUnblock()
	d.callPart()
	d.callRights()
	d.callProgram()
}

// writeInit writes what the init does before it is executed. It keeps all signals
// blocked: it takes them one by one. No file is open in it.
func (d *direct) writeInit() {
	d.callBegin()
	d.callSystem()
	d.callRlimits()
	d.callKeyring()
	d.callSignals()
	d.call("stage", "cannot close descriptors on exec", unix.SYS_CLOSE_RANGE, 0, 2, unix.CLOSE_RANGE_CLOEXEC)
	d.callPart()
	d.callInitRights()
	d.callInit()
}

func (d *direct) callBegin() {
	// Until it is confined it shall not outlive the thread that made it.
	d.call("stage", "cannot bind the child to its parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	d.call("stage", "cannot close descriptors on exec", unix.SYS_CLOSE_RANGE, 3, int(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	d.call("stage", "cannot make a session", unix.SYS_SETSID)
	d.callCgroups()
	d.callOOMScore()
}

// callSystem makes what only the first process of a container can.
func (d *direct) callSystem() {
	d.callProc()
	d.callHierarchies() // none where they are there
	d.callSysctls()
	d.callMasks()
	d.callLater()
}

func (d *direct) callKeyring() {
	d.call("keyring", "cannot make a session keyring", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0).
		Accept(uintptr(unix.ENOSYS))
}

func (d *direct) callPart() {
	d.call("stage", "cannot part from the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0)
}

// callCgroups writes "0", the writer, into each v1 tasks file; into v2 groups
// the child is born. A cgroup namespace is joined only then: who is in it may not
// come into a group from outside of it (cgroups(7), nsdelegate).
func (d *direct) callCgroups() {
	for _, file := range d.Cgroups {
		if !isFolder(d.fd(file)) {
			d.call("cgroup", "cannot enter the container's cgroup", unix.SYS_WRITE, d.fd(file), "0", 1)
		}
	}
	switch {
	case d.initFD >= 0:
		d.call("setns", "cannot enter the cgroup namespace", unix.SYS_SETNS, d.initFD, unix.CLONE_NEWCGROUP)
	case d.Namespaces.Cgroup && !d.isExec():
		d.call("unshare", "cannot make a cgroup namespace", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	for _, j := range d.Namespaces.Join {
		if j.Type == joinCgroup {
			d.call("setns", "cannot enter the cgroup namespace", unix.SYS_SETNS, d.fd(j.File), unix.CLONE_NEWCGROUP)
		}
	}
}

// callOOMScore writes proc_pid_oom_score_adj(5); the kernel lets a child of
// vfork(2) have its own.
func (d *direct) callOOMScore() {
	if d.Process.OOMScoreAdj == nil {
		return
	}
	score := strconv.Itoa(*d.Process.OOMScoreAdj)
	text := "cannot set oom_score_adj to " + score
	file := d.call("oom_score_adj", text, unix.SYS_OPENAT, d.hostProc, "self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	write := d.call("oom_score_adj", text, unix.SYS_WRITE, file, score, len(score))
	d.explain[write] = func(errno unix.Errno) error {
		if errno == unix.EACCES || errno == unix.EPERM {
			return failed("oom_score_adj", "%s: lowering it needs CAP_SYS_RESOURCE, which this machine does not give", text)
		}
		return failed("oom_score_adj", "%s: %v", text, errno)
	}
	d.call("oom_score_adj", text, unix.SYS_CLOSE, file)
}

// callMount makes a file system as a detached mount and attaches it.
func (d *direct) callMount(text, kind string, attr, place int, options ...string) {
	fs := d.call("mount", text, unix.SYS_FSOPEN, kind, unix.FSOPEN_CLOEXEC)
	for _, option := range append(options, "source="+kind) {
		key, value, ok := strings.Cut(option, "=")
		if ok {
			d.call("mount", text, unix.SYS_FSCONFIG, fs, fsconfigSetString, key, value, 0)
		} else {
			d.call("mount", text, unix.SYS_FSCONFIG, fs, fsconfigSetFlag, key, 0, 0)
		}
	}
	d.call("mount", text, unix.SYS_FSCONFIG, fs, fsconfigCreate, 0, 0, 0)
	mount := d.call("mount", text, unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, attr)
	d.callAttach("mount", text, mount, place)
	d.call("mount", text, unix.SYS_CLOSE, fs)
	d.call("mount", text, unix.SYS_CLOSE, mount)
}

func (d *direct) callAttach(step, text string, mount, place any) *vfork.Call {
	return d.call(step, text, unix.SYS_MOVE_MOUNT, mount, "", place, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

func (d *direct) callProc() {
	d.callMount("cannot mount /proc", "proc", quiet, d.procPlace)
}

func (d *direct) callHierarchies() {
	for _, c := range d.cgroups {
		d.callMount("cannot mount cgroup "+c.Dir, c.Type, d.sysAttr(), c.place, c.options()...)
	}
}

// callOpen opens a path below the root.
func (d *direct) callOpen(step, text, name string, flags, resolve uint64) *vfork.Call {
	var how [24]byte // struct open_how
	binary.NativeEndian.PutUint64(how[0:], flags|unix.O_CLOEXEC)
	binary.NativeEndian.PutUint64(how[16:], resolve)
	return d.call(step, text, unix.SYS_OPENAT2, d.root, name, d.list.Bytes(how[:]), len(how))
}

const plain = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS

// callSysctls writes kernel parameters through the container's /proc, before it
// becomes read-only.
func (d *direct) callSysctls() {
	for _, name := range d.sysctlNames() {
		value := d.Sysctls[name]
		text := "cannot set sysctl " + name + " to " + strconv.Quote(value)
		file := d.callOpen("sysctl", text, "/proc/sys/"+sysctlPath(name), unix.O_WRONLY|unix.O_NOFOLLOW, plain)
		d.call("sysctl", text, unix.SYS_WRITE, file, value, len(value))
		d.call("sysctl", text, unix.SYS_CLOSE, file)
	}
}

// callMasks hides and protects paths of /proc; the host's shows what there is.
func (d *direct) callMasks() {
	for _, name := range d.ReadonlyPaths {
		if inProc(name) && d.hostHas(name) {
			d.callProtect(name)
		}
	}
	for _, name := range d.MaskedPaths {
		if inProc(name) && d.hostHas(name) {
			d.callMask(name)
		}
	}
}

// hostHas reports whether a path of /proc is there, for all that can be known.
func (d *direct) hostHas(name string) bool {
	var st unix.Stat_t
	return d.statHost(name, &st) || !d.statHost("/proc/sys", &st)
}

// statHost looks at the host's /proc.
func (d *direct) statHost(name string, st *unix.Stat_t) bool {
	rel := path.Clean("/" + name)[len("/proc"):]
	if rel == "" {
		rel = "/"
	}
	return unix.Fstatat(d.hostProc, "."+rel, st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// callPlace opens a path of /proc; the rest of what is written for it is left
// out if it is missing.
func (d *direct) callPlace(text, name string, rest func(place *vfork.Call)) {
	place := d.callOpen("mask", text, name, unix.O_PATH, plain)
	rest(place)
	d.call("mask", text, unix.SYS_CLOSE, place)
	behind := d.list.Check(d.list.FailedAt(), 0, 0, 0) // is so
	place.Accept(uintptr(unix.ENOENT), uintptr(unix.ENOTDIR)).OnAccept(behind)
}

func (d *direct) callProtect(name string) {
	text := "cannot make " + name + " read-only"
	d.callPlace(text, name, func(place *vfork.Call) {
		clone := d.call("mask", text, unix.SYS_OPEN_TREE, place, "",
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		attr := d.readOnlyAttr()
		whole := d.call("mask", text, unix.SYS_MOUNT_SETATTR, clone, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr, mountAttrSize)
		alone := d.call("mask", text, unix.SYS_MOUNT_SETATTR, clone, "", unix.AT_EMPTY_PATH, attr, mountAttrSize)
		move := d.callAttach("mask", text, clone, place)
		whole.AcceptAll().OnAccept(alone)
		whole.Next(move)
		d.call("mask", text, unix.SYS_CLOSE, clone)
	})
}

const mountAttrSize = 32 // MOUNT_ATTR_SIZE_VER0

func (d *direct) readOnlyAttr() vfork.Address {
	var attr [mountAttrSize]byte
	binary.NativeEndian.PutUint64(attr[:], unix.MOUNT_ATTR_RDONLY)
	return d.list.Bytes(attr[:])
}

// callMask puts an empty read-only folder over a folder, and our own /dev/null
// over a file.
func (d *direct) callMask(name string) {
	text := "cannot hide " + name
	var st unix.Stat_t
	cover, err := -1, error(nil)
	if d.statHost(name, &st) && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		cover, err = newFS("tmpfs", quiet|unix.MOUNT_ATTR_RDONLY, "size=0", "nr_inodes=2")
	} else {
		cover, err = d.ownNull()
	}
	if err == nil {
		d.keep(cover)
	}
	d.callPlace(text, name, func(place *vfork.Call) {
		// Without a cover it fails: nothing starts with a path not hidden.
		d.callAttach("mask", text, cover, place)
	})
}

// callLater makes the mounts on files of /proc.
func (d *direct) callLater() {
	for _, m := range d.later {
		text := "cannot mount on " + m.target
		place := d.callOpen("mount", text, m.target, unix.O_PATH, plain)
		d.callAttach("mount", text, m.mount, place)
		d.call("mount", text, unix.SYS_CLOSE, place)
	}
}

func (d *direct) callStdio() {
	if d.Process.Terminal {
		for fd := range 3 {
			d.call("terminal", "cannot use the terminal", unix.SYS_DUP3, d.slave, fd, 0)
		}
		d.call("terminal", "cannot make the terminal the controlling one", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
		return
	}
	for fd, from := range d.stdio {
		d.call("stdio", "cannot use stdio", unix.SYS_DUP3, from, fd, 0)
	}
}

func (d *direct) callWorkingDirectory() {
	cwd := d.Process.Cwd
	if cwd == "" {
		cwd = "/"
	}
	text := "cannot enter working directory " + cwd
	dir := d.callOpen("cwd", text, cwd, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	// Something was renamed while ".." was resolved.
	dir.Accept(uintptr(unix.EAGAIN)).OnAccept(dir)
	d.call("cwd", text, unix.SYS_FCHDIR, dir)
	d.call("cwd", text, unix.SYS_CLOSE, dir)
	// getcwd(2) says "(unreachable)" of a folder outside of the root.
	name := d.list.Room(unix.PathMax)
	d.call("cwd", text, unix.SYS_GETCWD, name, unix.PathMax)
	c := d.list.Check(name, 0xff, '/', uintptr(unix.EXDEV))
	d.explain[c] = func(unix.Errno) error { return failed("cwd", "%s: it is outside of the container", text) }
}
