package confine

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs a compiled program like the kernel.
func machine(t *testing.T, program []unix.SockFilter) func(audit, number uint32, args [6]uint64) uint32 {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(program))
	for i, in := range program {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	decoded, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program holds an instruction that is none")
	}
	vm, err := bpf.NewVM(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return func(audit, number uint32, args [6]uint64) uint32 {
		// The interpreter loads big endian words, the kernel native ones.
		data := binary.BigEndian.AppendUint32(nil, number)
		data = binary.BigEndian.AppendUint32(data, audit)
		data = binary.BigEndian.AppendUint64(data, 0) // instruction pointer
		for _, arg := range args {
			data = binary.BigEndian.AppendUint32(data, uint32(arg))
			data = binary.BigEndian.AppendUint32(data, uint32(arg>>32))
		}
		n, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
}

// judge says what the profile means, without any cleverness.
func judge(profile *specs.LinuxSeccomp, name string, args [6]uint64) uint32 {
	for _, call := range profile.Syscalls {
		for _, n := range call.Names {
			if n != name || !fits(call.Args, args) {
				continue
			}
			if call.Action == specs.ActErrno {
				return unix.SECCOMP_RET_ERRNO | uint32(*call.ErrnoRet)
			}
			return unix.SECCOMP_RET_ALLOW
		}
	}
	return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
}

func fits(conditions []specs.LinuxSeccompArg, args [6]uint64) bool {
	for _, c := range conditions {
		arg := args[c.Index]
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: arg == c.Value, specs.OpNotEqual: arg != c.Value,
			specs.OpGreaterThan: arg > c.Value, specs.OpGreaterEqual: arg >= c.Value,
			specs.OpLessThan: arg < c.Value, specs.OpLessEqual: arg <= c.Value,
			specs.OpMaskedEqual: arg&c.Value == c.ValueTwo,
		}[c.Op]
		if !ok {
			return false
		}
	}
	return true
}

func interestingArgs() [][6]uint64 {
	values := []uint64{
		0, 1, 8, 2, 37, 38, 39, 40, 41, 0x20000, 0x20008, math.MaxUint32, 1 << 32, 1<<32 + 8,
		unix.CLONE_NEWNS, unix.CLONE_NEWUSER, unix.CLONE_NEWNET | 17, unix.CLONE_THREAD | unix.CLONE_VM,
		unix.CLONE_NEWCGROUP, math.MaxUint64,
	}
	var all [][6]uint64
	for _, v := range values {
		all = append(all, [6]uint64{v}, [6]uint64{0, v})
	}
	return all
}

func TestDefaultProfileMeansTheSameAfterCompilation(t *testing.T) {
	some, err := capabilities(Policy{CapAdd: []string{"SYS_ADMIN", "SYS_PTRACE"}})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := capabilities(Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for name, caps := range map[string][]uint{"with dockerd's default capabilities": plain, "with SYS_ADMIN and SYS_PTRACE": some, "without any": nil} {
		t.Run(name, func(t *testing.T) {
			profile, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: names(caps)}}})
			if err != nil {
				t.Fatal(err)
			}
			program, err := compile(profile)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d instructions", len(program))
			run := machine(t, program)
			calls := 0
			for _, a := range architectures() {
				for _, b := range profile.Architectures {
					if a.name == b {
						calls += compareAll(t, profile, a, run)
					}
				}
			}
			if calls < 100_000/4 {
				t.Errorf("only %d calls were compared", calls)
			}
		})
	}
}

// More spans than conditional jumps can look over, among them such with rules.
func TestATreeOfAnySizeFindsEveryNumber(t *testing.T) {
	actions := []uint32{unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | 1, unix.SECCOMP_RET_ERRNO | 38, unix.SECCOMP_RET_LOG}
	for _, size := range []int{1, 2, 3, 100, 254, 255, 256, 257, 258, 600, 1500} {
		var all []span
		for i := range size {
			v := verdict{last: actions[i%len(actions)]}
			if i%50 == 49 {
				v.rules = []rule{{[]specs.LinuxSeccompArg{{Index: 0, Value: uint64(i), Op: specs.OpEqualTo}}, unix.SECCOMP_RET_TRAP}}
			}
			all = append(all, span{uint32(3 * i), v})
		}
		body, err := tree(all)
		if err != nil {
			t.Fatal(err)
		}
		run := machine(t, append([]unix.SockFilter{load(offsetNumber)}, body...))
		for number := range uint32(3 * size) {
			i := int(number / 3)
			if got := run(0, number, [6]uint64{}); got != all[i].verdict.last {
				t.Fatalf("%d spans, number %d: %#x, want %#x", size, number, got, all[i].verdict.last)
			}
			if got := run(0, number, [6]uint64{uint64(i)}); i%50 == 49 && got != unix.SECCOMP_RET_TRAP {
				t.Fatalf("%d spans, number %d with its argument: %#x", size, number, got)
			}
		}
	}
}

func compareAll(t *testing.T, profile *specs.LinuxSeccomp, a architecture, run func(uint32, uint32, [6]uint64) uint32) (calls int) {
	byNumber := map[uint32][]string{}
	for name, n := range a.numbersOf() {
		byNumber[n] = append(byNumber[n], name)
	}
	for offset := range uint32(700) {
		number := offset | a.bit
		for _, args := range interestingArgs() {
			want := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
			for _, name := range byNumber[number] {
				if v := judge(profile, name, args); v != want {
					want = v
				}
			}
			calls++
			if got := run(a.audit, number, args); got != want {
				t.Errorf("%s %v (%d) with %#x: verdict %#x, want %#x", a.name, byNumber[number], number, args, got, want)
				return calls
			}
		}
	}
	return calls
}

func TestSystemCallsOfAnUnknownArchitectureEndTheProcess(t *testing.T) {
	program, err := compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64}})
	if err != nil {
		t.Fatal(err)
	}
	run := machine(t, program)
	if got := run(unix.AUDIT_ARCH_AARCH64, 1, [6]uint64{}); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("verdict %#x", got)
	}
	if got := run(unix.AUDIT_ARCH_X86_64, 1, [6]uint64{}); got != unix.SECCOMP_RET_ALLOW {
		t.Errorf("verdict %#x", got)
	}
}

func TestConditionsCompareAll64Bits(t *testing.T) {
	values := []uint64{0, 1, 2, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<33 + 2, math.MaxUint64 - 1, math.MaxUint64}
	ops := []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpGreaterThan, specs.OpGreaterEqual,
		specs.OpLessThan, specs.OpLessEqual, specs.OpMaskedEqual,
	}
	for _, op := range ops {
		for _, value := range values {
			conditions := []specs.LinuxSeccompArg{{Index: 3, Value: value, ValueTwo: value & 0x1_0000_0001, Op: op}, {Index: 5, Value: 7, Op: specs.OpEqualTo}}
			program, err := compile(&specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
				Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow, Args: conditions}},
			})
			if err != nil {
				t.Fatal(err)
			}
			run := machine(t, program)
			for _, arg := range values {
				for _, last := range []uint64{7, 8} {
					args := [6]uint64{3: arg, 5: last}
					want := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
					if fits(conditions, args) {
						want = unix.SECCOMP_RET_ALLOW
					}
					if got := run(unix.AUDIT_ARCH_X86_64, 0, args); got != want {
						t.Errorf("%#x %s %#x: verdict %#x, want %#x", arg, op, value, got, want)
					}
				}
			}
		}
	}
}

func TestProfilesThatCannotBeCompiledAreErrors(t *testing.T) {
	base := func(change func(*specs.LinuxSeccomp)) *specs.LinuxSeccomp {
		p := &specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}},
		}
		change(p)
		return p
	}
	for name, p := range map[string]*specs.LinuxSeccomp{
		"an unknown action":         base(func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = "SCMP_ACT_ALOW" }),
		"an unknown default action": base(func(p *specs.LinuxSeccomp) { p.DefaultAction = "" }),
		"an unknown operator": base(func(p *specs.LinuxSeccomp) {
			p.Syscalls[0].Args = []specs.LinuxSeccompArg{{Op: "SCMP_CMP_EG"}}
		}),
		"a seventh argument": base(func(p *specs.LinuxSeccomp) {
			p.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}
		}),
		"no known architecture": base(func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchS390X} }),
	} {
		if _, err := compile(p); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

func TestTheTablesKnowWellKnownNumbers(t *testing.T) {
	want := map[specs.Arch]map[string]uint32{
		specs.ArchX86_64:  {"read": 0, "mount": 165, "clone3": 435, "setns": 308},
		specs.ArchX32:     {"read": 1 << 30, "rt_sigaction": 1<<30 | 512, "clone3": 1<<30 | 435},
		specs.ArchX86:     {"read": 3, "mount": 21, "socketcall": 102, "clone3": 435},
		specs.ArchAARCH64: {"read": 63, "mount": 40, "clone3": 435},
		specs.ArchARM:     {"read": 3, "mount": 21, "clone3": 435},
	}
	for _, a := range architectures() {
		numbers := a.numbersOf()
		for name, n := range want[a.name] {
			if numbers[name] != n {
				t.Errorf("%s %s is %d, want %d", a.name, name, numbers[name], n)
			}
		}
		if len(numbers) < 300 {
			t.Errorf("%s has only %d calls", a.name, len(numbers))
		}
	}
}

func BenchmarkCompileDefault(b *testing.B) {
	caps, err := capabilities(Policy{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := compileDefault(caps); err != nil {
			b.Fatal(err)
		}
	}
}
