//go:build !stage

package stage

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// initFilter is the seccomp(2) program of the init: its own execution and what
// initCode calls. Whatever else would be called by it ends it, and the container
// with it.
func initFilter() []byte {
	const (
		offsetNumber, offsetArch = 0, 4 // struct seccomp_data

		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	calls := []uint32{unix.SYS_EXECVEAT, unix.SYS_PRCTL, unix.SYS_WAIT4, unix.SYS_RT_SIGTIMEDWAIT, unix.SYS_KILL}
	last := uint8(len(calls)) // from the comparison of the architecture to the end
	program := []unix.SockFilter{
		{Code: load, K: offsetArch},
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jf: last + 1},
		{Code: load, K: offsetNumber},
	}
	for i, call := range calls {
		program = append(program, unix.SockFilter{Code: equal, K: call, Jt: last - uint8(i)})
	}
	program = append(program,
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	var out []byte
	for _, i := range program {
		out = binary.NativeEndian.AppendUint16(out, i.Code)
		out = append(out, i.Jt, i.Jf)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out
}
