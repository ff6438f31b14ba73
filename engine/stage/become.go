package stage

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/vfork"
)

// callRlimits sets limits as prlimit(2) does. That of open files is the one
// that we were started with, unless the recipe has another.
func (d *direct) callRlimits() {
	files := false
	for _, r := range d.Process.Rlimits {
		resource, ok := rlimitNumber(r.Type)
		if !ok {
			c := d.list.Check(d.list.FailedAt(), 0, 1, uintptr(unix.EINVAL))
			d.explain[c] = func(unix.Errno) error {
				return failed("rlimit", "cannot set ulimit %s: there is none of that name", r.Type)
			}
			continue
		}
		files = files || resource == unix.RLIMIT_NOFILE
		c := d.callRlimit(resource, r.Soft, r.Hard)
		d.explain[c] = func(errno unix.Errno) error { return limitError(r, resource, errno) }
	}
	if soft, hard := vfork.Original(); !files && hard > 0 {
		d.callRlimit(unix.RLIMIT_NOFILE, soft, hard)
	}
}

func (d *direct) callRlimit(resource int, soft, hard uint64) *vfork.Call {
	var limit [16]byte
	binary.NativeEndian.PutUint64(limit[0:], soft)
	binary.NativeEndian.PutUint64(limit[8:], hard)
	return d.call("rlimit", "cannot set a limit", unix.SYS_PRLIMIT64, 0, resource, d.list.Bytes(limit[:]), 0)
}

// callSignals undoes what a parent may have left ignored.
func (d *direct) callSignals() {
	action := d.list.Room(32) // struct kernel_sigaction: all zero is SIG_DFL
	for sig := 1; sig <= lastSignal; sig++ {
		d.list.Call(unix.SYS_RT_SIGACTION, sig, action, 0, 8).AcceptAll() // SIGKILL and SIGSTOP refuse it
	}
}

func (d *direct) callUnblock() {
	d.call("exec", "cannot unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, d.list.Room(8), 0, 8)
}

// callRights makes the child what the process is to be, see dropRights.
func (d *direct) callRights() {
	p := &d.Process
	umask := 0o022
	if p.Umask != nil {
		umask = int(*p.Umask)
	}
	d.list.Call(unix.SYS_UMASK, umask)
	if !p.NoNewPrivileges {
		d.callSeccomp(p.Seccomp)
	}
	d.callBounding()
	d.callIDs()
	d.callCapabilities()
	if p.NoNewPrivileges {
		d.callNoNewPrivileges()
		d.callSeccomp(p.Seccomp)
	}
}

func (d *direct) callNoNewPrivileges() {
	d.call("no_new_privs", "cannot set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

func (d *direct) callBounding() {
	keep := bits(d.Process.Bounding)
	for n := range uint(64) {
		if keep&(1<<n) != 0 {
			continue
		}
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break // the kernel knows no higher one
		}
		if set != 0 {
			d.call("capabilities", "cannot drop capability "+uintText(uint64(n)), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0)
		}
	}
}

func (d *direct) callIDs() {
	p := &d.Process
	d.call("user", "cannot keep capabilities", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	groups := make([]byte, 0, 4*len(p.Groups))
	for _, g := range p.Groups {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	d.call("user", "cannot set groups", unix.SYS_SETGROUPS, len(p.Groups), d.list.Bytes(groups))
	gid, uid := uintptr(p.GID), uintptr(p.UID)
	d.call("user", "cannot become group "+uintText(uint64(p.GID)), unix.SYS_SETRESGID, gid, gid, gid)
	d.call("user", "cannot become user "+uintText(uint64(p.UID)), unix.SYS_SETRESUID, uid, uid, uid)
	d.call("user", "cannot let go of capabilities", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0, 0, 0, 0)
}

func (d *direct) callCapabilities() {
	p := &d.Process
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = append(header, 0, 0, 0, 0) // itself
	permitted, inheritable := bits(p.Permitted), bits(p.Inheritable)
	var data []byte
	for i := range 2 {
		shift := 32 * i
		for _, set := range []uint64{permitted, permitted, inheritable} { // effective first
			data = binary.NativeEndian.AppendUint32(data, uint32(set>>shift))
		}
	}
	d.call("capabilities", "cannot set capabilities", unix.SYS_CAPSET, d.list.Bytes(header), d.list.Bytes(data))
	d.call("capabilities", "cannot clear ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	for _, n := range p.Ambient {
		d.call("capabilities", "cannot raise ambient capability "+uintText(uint64(n)),
			unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0)
	}
}

func (d *direct) callSeccomp(code []byte) {
	if len(code) == 0 {
		return
	}
	if len(code)%8 != 0 || len(code)/8 > 4096 { // BPF_MAXINSNS
		c := d.list.Check(d.list.FailedAt(), 0, 1, uintptr(unix.EINVAL))
		d.explain[c] = func(unix.Errno) error {
			return failed("seccomp", "cannot load the seccomp filter: %d bytes are no program", len(code))
		}
		return
	}
	var program [16]byte // struct sock_fprog
	binary.NativeEndian.PutUint16(program[:], uint16(len(code)/8))
	binary.NativeEndian.PutUint64(program[8:], uint64(d.list.Bytes(code)))
	d.call("seccomp", "cannot load the seccomp filter", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, d.list.Bytes(program[:]))
}

// callInitRights makes the child what the init is to be: the process, but for the
// filter. The init's own lets it do nothing but what it does, and costs the kernel a
// fiftieth of what the process's costs it to load.
func (d *direct) callInitRights() {
	whole := d.Recipe
	part := *whole
	part.Process.Seccomp = nil
	d.Recipe = &part
	d.callRights()
	d.Recipe = whole
	if len(whole.Process.Seccomp) > 0 {
		d.callNoNewPrivileges() // so that whoever it is may load one
		d.callSeccomp(initFilter())
	}
}

// callInit executes the init. Its arguments are for ps only.
func (d *direct) callInit() {
	argv := d.list.Strings(append([]string{recipe.InitName}, d.Process.Args...))
	c := d.call("init", "cannot execute the init", unix.SYS_EXECVEAT, d.init, "", argv, d.list.Strings(d.Process.Env), unix.AT_EMPTY_PATH)
	d.programs = []*vfork.Call{c}
}

// callProgram tries what a shell would, see search.
func (d *direct) callProgram() {
	if len(d.Process.Args) == 0 {
		c := d.list.Check(d.list.FailedAt(), 0, 1, uintptr(unix.EINVAL))
		d.explain[c] = func(unix.Errno) error { return failed("exec", "cannot execute: no command is given") }
		return
	}
	env := d.list.Strings(d.Process.Env)
	name := d.Process.Args[0]
	argv := d.list.Strings(d.Process.Args)
	var tried []*vfork.Call
	try := func(path string) error {
		tried = append(tried, d.list.Call(unix.SYS_EXECVE, path, argv, env))
		return unix.ENOENT
	}
	_ = search(name, d.Process.Env, try)
	explain := func(unix.Errno) error {
		i := -1
		return search(name, d.Process.Env, func(string) error {
			i++
			return unix.Errno(tried[i].Errno())
		})
	}
	for _, c := range tried {
		d.explain[c] = explain
		if !strings.Contains(name, "/") {
			c.Accept(uintptr(unix.ENOENT), uintptr(unix.ENOTDIR), uintptr(unix.EACCES))
		}
	}
	d.programs = tried
	c := d.list.Check(d.list.FailedAt(), 0, 1, uintptr(unix.ENOENT))
	d.explain[c] = explain
}

// isProgram reports whether a call executes the recipe's program, or the init.
func (d *direct) isProgram(c *vfork.Call) bool {
	for _, p := range d.programs {
		if c == p {
			return true
		}
	}
	return false
}
