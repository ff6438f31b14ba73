package stage

import (
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

// dropRights makes this thread what the process is to be. The raw system
// calls are on purpose: the wrappers of syscall would change every thread,
// and the others end at execve anyway.
func (s *stage) dropRights() error {
	p := &s.Process
	umask := 0o022
	if p.Umask != nil {
		umask = int(*p.Umask)
	}
	unix.Umask(umask)
	steps := []func() error{s.dropBounding, s.setIDs, s.setCapabilities}
	if p.NoNewPrivileges {
		steps = append(steps, setNoNewPrivs, s.setSeccomp)
	} else {
		steps = append([]func() error{s.setSeccomp}, steps...)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) dropBounding() error {
	keep := bits(s.Process.Bounding)
	for n := range uint(64) {
		if keep&(1<<n) != 0 {
			continue
		}
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break // the kernel knows no higher one
		}
		if set == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return failed("capabilities", "cannot drop capability %d: %v", n, err)
		}
	}
	return nil
}

// setIDs keeps permitted capabilities over the change; setCapabilities then
// reduces them.
func (s *stage) setIDs() error {
	p := &s.Process
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return failed("user", "cannot keep capabilities: %v", err)
	}
	var list unsafe.Pointer
	if len(p.Groups) > 0 {
		list = unsafe.Pointer(&p.Groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.Groups)), uintptr(list), 0); errno != 0 {
		return failed("user", "cannot set groups: %v", errno)
	}
	runtime.KeepAlive(p.Groups)
	gid, uid := uintptr(p.GID), uintptr(p.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return failed("user", "cannot become group %d: %v", p.GID, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return failed("user", "cannot become user %d: %v", p.UID, errno)
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0); err != nil {
		return failed("user", "cannot let go of capabilities: %v", err)
	}
	return nil
}

func (s *stage) setCapabilities() error {
	p := &s.Process
	permitted, inheritable := bits(p.Permitted), bits(p.Inheritable)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{}
	for i := range data {
		shift := 32 * i
		data[i].Permitted = uint32(permitted >> shift)
		data[i].Effective = uint32(permitted >> shift)
		data[i].Inheritable = uint32(inheritable >> shift)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return failed("capabilities", "cannot set capabilities: %v", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return failed("capabilities", "cannot clear ambient capabilities: %v", err)
	}
	for _, n := range p.Ambient {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0); err != nil {
			return failed("capabilities", "cannot raise ambient capability %d: %v", n, err)
		}
	}
	return nil
}

func bits(numbers []uint) (set uint64) {
	for _, n := range numbers {
		set |= 1 << n
	}
	return set
}

func setNoNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return failed("no_new_privs", "cannot set no_new_privs: %v", err)
	}
	return nil
}

func (s *stage) setSeccomp() error {
	code := s.Process.Seccomp
	if len(code) == 0 {
		return nil
	}
	if len(code)%8 != 0 || len(code)/8 > 4096 { // BPF_MAXINSNS
		return failed("seccomp", "cannot load the seccomp filter: %d bytes are no program", len(code))
	}
	program := unix.SockFprog{Len: uint16(len(code) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return failed("seccomp", "cannot load the seccomp filter: %v", errno)
	}
	return nil
}
