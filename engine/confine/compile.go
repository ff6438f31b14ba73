package confine

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// compileDefault compiles dockerd's default profile for a container with the
// given bounding set on this machine.
func compileDefault(caps []uint) ([]byte, error) {
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: names(caps)}},
	})
	if err != nil {
		return nil, err
	}
	program, err := compile(profile)
	if err != nil {
		return nil, err
	}
	return encode(program), nil
}

// architecture is one system call table that a process may call.
type architecture struct {
	name  specs.Arch
	audit uint32 // AUDIT_ARCH_*, what the kernel calls it
	bit   uint32 // set in every number of it: x32
	table string
}

func architectures() []architecture {
	return []architecture{
		{specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, 0, syscallsX8664},
		{specs.ArchX32, unix.AUDIT_ARCH_X86_64, 1 << 30, syscallsX32},
		{specs.ArchX86, unix.AUDIT_ARCH_I386, 0, syscallsX86},
		{specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, 0, syscallsARM64},
		{specs.ArchARM, unix.AUDIT_ARCH_ARM, 0, syscallsARM},
	}
}

// numbersOf reads a table.
func (a architecture) numbersOf() map[string]uint32 {
	words := strings.Fields(a.table)
	numbers := make(map[string]uint32, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.ParseUint(words[i+1], 10, 32)
		if err == nil {
			numbers[words[i]] = uint32(n) | a.bit
		}
	}
	return numbers
}

// rule is an action for a system call whose arguments fulfil all conditions.
type rule struct {
	conditions []specs.LinuxSeccompArg
	action     uint32
}

// verdict is what becomes of one system call: the first rule that fits, else
// the last word.
type verdict struct {
	rules []rule
	last  uint32
}

func (v verdict) equal(w verdict) bool {
	return v.last == w.last && len(v.rules) == 0 && len(w.rules) == 0
}

// span is a verdict for all numbers from first to the next span's first.
type span struct {
	first   uint32
	verdict verdict
}

// compile turns a profile into a program that finds the number in a balanced
// tree: loading a filter runs it once for every system call, so depth counts.
// A system call of an architecture that the profile does not name ends the
// process.
func compile(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	fallback, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	byAudit, err := verdicts(profile, fallback)
	if err != nil {
		return nil, err
	}
	program := []unix.SockFilter{load(offsetArch)}
	for _, a := range architectures() {
		table, ok := byAudit[a.audit]
		if !ok {
			continue
		}
		delete(byAudit, a.audit) // x32 shares its audit number with x86_64
		tree, err := tree(spans(table, fallback))
		if err != nil {
			return nil, err
		}
		tree = append([]unix.SockFilter{load(offsetNumber)}, tree...)
		program = append(program, onlyIfEqual(a.audit, len(tree))...)
		program = append(program, tree...)
	}
	program = append(program, ret(unix.SECCOMP_RET_KILL_PROCESS))
	if len(program) > 4096 { // BPF_MAXINSNS
		return nil, fmt.Errorf("%d instructions are more than the kernel takes", len(program))
	}
	return program, nil
}

// verdicts gathers what the profile says of each number, by audit number of
// the architecture. Names that an architecture does not have are left out:
// a profile is written for all of them.
func verdicts(profile *specs.LinuxSeccomp, fallback uint32) (map[uint32]map[uint32]verdict, error) {
	result := map[uint32]map[uint32]verdict{}
	for _, a := range architectures() {
		if !slices.Contains(profile.Architectures, a.name) {
			continue
		}
		table := result[a.audit]
		if table == nil {
			table = map[uint32]verdict{}
			result[a.audit] = table
		}
		numbers := a.numbersOf()
		for _, call := range profile.Syscalls {
			act, err := action(call.Action, call.ErrnoRet)
			if err != nil {
				return nil, err
			}
			for _, name := range call.Names {
				if n, ok := numbers[name]; ok {
					table[n] = add(table, n, rule{call.Args, act}, fallback)
				}
			}
		}
	}
	if len(result) == 0 {
		return nil, spec.Errorf(spec.ErrUnsupported, "no architecture of the profile is known (this is %s)", runtime.GOARCH)
	}
	return result, nil
}

// add puts a rule to a number's verdict; one without conditions is the last
// word, unless there is one already.
func add(table map[uint32]verdict, number uint32, r rule, fallback uint32) verdict {
	v, known := table[number]
	if !known {
		v.last = fallback
	}
	if len(r.conditions) == 0 {
		if v.last == fallback {
			v.last = r.action
		}
		return v
	}
	v.rules = append(v.rules, r)
	return v
}

// action turns an OCI action into a SECCOMP_RET_* value, seccomp(2).
func action(name specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	switch name {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActErrno:
		if errno == nil {
			return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), nil
		}
		if *errno > unix.SECCOMP_RET_DATA {
			return 0, spec.Errorf(spec.ErrInvalid, "errno %d is out of range", *errno)
		}
		return unix.SECCOMP_RET_ERRNO | uint32(*errno), nil
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	}
	return 0, spec.Errorf(spec.ErrUnsupported, "seccomp action %q is not supported", name)
}
