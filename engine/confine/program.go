package confine

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// Offsets in struct seccomp_data, linux/seccomp.h. Arguments are 64 bits,
// little endian on every architecture that is known here.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// Targets of jumps that a condition does not know yet.
const (
	jumpNext = 0
	jumpHit  = 254 // the condition is fulfilled
	jumpMiss = 255 // it is not
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k}
}

// far jumps over any number of instructions, a conditional jump over 255.
func far(count int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(count)}
}

// onlyIfEqual jumps over the next count instructions unless k is loaded.
func onlyIfEqual(k uint32, count int) []unix.SockFilter {
	return []unix.SockFilter{jump(unix.BPF_JEQ, k, 1, 0), far(count)}
}

// spans sorts a table and joins neighbours with the same plain verdict; gaps
// get the fallback. The first span begins at 0.
func spans(table map[uint32]verdict, fallback uint32) []span {
	numbers := make([]uint32, 0, len(table))
	for n := range table {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	all := []span{{0, verdict{last: fallback}}}
	put := func(first uint32, v verdict) {
		last := &all[len(all)-1]
		switch {
		case last.first == first:
			last.verdict = v
			if n := len(all); n > 1 && all[n-2].verdict.equal(v) {
				all = all[:n-1]
			}
		case !last.verdict.equal(v):
			all = append(all, span{first, v})
		}
	}
	for _, n := range numbers {
		put(n, table[n])
		put(n+1, verdict{last: fallback})
	}
	return all
}

// tree halves the spans at each step; the number is loaded. Half of a program
// would be returns: as many spans as conditional jumps can look over share theirs.
func tree(all []span) ([]unix.SockFilter, error) {
	if len(all) == 1 {
		return leaf(all[0].verdict)
	}
	shared, err := halve(all)
	if err != nil {
		return nil, err
	}
	if program, ok := shared.program(); ok {
		return program, nil
	}
	middle := len(all) / 2
	below, err := tree(all[:middle])
	if err != nil {
		return nil, err
	}
	above, err := tree(all[middle:])
	if err != nil {
		return nil, err
	}
	program := []unix.SockFilter{jump(unix.BPF_JGE, all[middle].first, 0, 1), far(len(below))}
	return append(append(program, below...), above...), nil
}

// branches are a tree whose returns are missing.
type branches []branch

// branch is a node of the tree, or an instruction of a leaf.
type branch struct {
	unix.SockFilter
	node    bool // its jumps are what follows
	yes, no target
}

// target is where a jump leads: over some instructions, or to the return of an
// action.
type target struct {
	skip    int
	returns bool
	action  uint32
}

// halve writes a tree. A span with nothing but an action has no instruction: the
// jump to it leads to the return.
func halve(all []span) (branches, error) {
	if len(all) == 1 {
		if len(all[0].verdict.rules) == 0 {
			return nil, nil
		}
		program, err := leaf(all[0].verdict)
		out := make(branches, len(program))
		for i := range program {
			out[i].SockFilter = program[i]
		}
		return out, err
	}
	middle := len(all) / 2
	below, err := halve(all[:middle])
	if err != nil {
		return nil, err
	}
	above, err := halve(all[middle:])
	if err != nil {
		return nil, err
	}
	root := branch{SockFilter: jump(unix.BPF_JGE, all[middle].first, 0, 0), node: true, yes: target{skip: len(below)}}
	if len(above) == 0 {
		root.yes = target{returns: true, action: all[middle].verdict.last}
	}
	if len(below) == 0 {
		root.no = target{returns: true, action: all[0].verdict.last}
	}
	return slices.Concat(branches{root}, below, above), nil
}

// program adds the returns, one for each action. It is not ok if a jump is too far.
func (b branches) program() (program []unix.SockFilter, ok bool) {
	var actions []uint32
	distance := func(from int, t target) int {
		if !t.returns {
			return t.skip
		}
		if !slices.Contains(actions, t.action) {
			actions = append(actions, t.action)
		}
		return len(b) + slices.Index(actions, t.action) - from - 1
	}
	for i, in := range b {
		if in.node {
			yes, no := distance(i, in.yes), distance(i, in.no)
			if max(yes, no) > math.MaxUint8 {
				return nil, false
			}
			in.Jt, in.Jf = uint8(yes), uint8(no)
		}
		program = append(program, in.SockFilter)
	}
	for _, action := range actions {
		program = append(program, ret(action))
	}
	return program, true
}

func leaf(v verdict) ([]unix.SockFilter, error) {
	var program []unix.SockFilter
	for _, r := range v.rules {
		block, err := ruleBlock(r)
		if err != nil {
			return nil, err
		}
		program = append(program, block...)
	}
	return append(program, ret(v.last)), nil
}

// ruleBlock returns the action if all conditions hold, and otherwise goes on
// behind itself.
func ruleBlock(r rule) ([]unix.SockFilter, error) {
	var program []unix.SockFilter
	used := map[uint]bool{}
	for _, c := range r.conditions {
		if c.Index > 5 || used[c.Index] {
			return nil, spec.Errorf(spec.ErrUnsupported, "seccomp rule with argument %d is not supported", c.Index)
		}
		used[c.Index] = true
		block, err := conditionBlock(c)
		if err != nil {
			return nil, err
		}
		for i := range block { // fulfilled: behind the condition
			relink(&block[i], jumpHit, len(block)-i-1)
		}
		program = append(program, block...)
	}
	program = append(program, ret(r.action))
	for i := range program {
		relink(&program[i], jumpMiss, len(program)-i-1)
	}
	return program, nil
}

func relink(i *unix.SockFilter, from uint8, to int) {
	if i.Code&0x07 != unix.BPF_JMP {
		return
	}
	if i.Jt == from {
		i.Jt = uint8(to)
	}
	if i.Jf == from {
		i.Jf = uint8(to)
	}
}

// conditionBlock compares a 64-bit argument in two halves.
func conditionBlock(c specs.LinuxSeccompArg) ([]unix.SockFilter, error) {
	low := load(offsetArgs + 8*uint32(c.Index))
	high := load(offsetArgs + 8*uint32(c.Index) + 4)
	wantLow, wantHigh := uint32(c.Value), uint32(c.Value>>32)
	switch c.Op {
	case specs.OpEqualTo:
		return []unix.SockFilter{
			high, jump(unix.BPF_JEQ, wantHigh, jumpNext, jumpMiss),
			low, jump(unix.BPF_JEQ, wantLow, jumpHit, jumpMiss),
		}, nil
	case specs.OpNotEqual:
		return []unix.SockFilter{
			high, jump(unix.BPF_JEQ, wantHigh, jumpNext, jumpHit),
			low, jump(unix.BPF_JEQ, wantLow, jumpMiss, jumpHit),
		}, nil
	case specs.OpMaskedEqual: // argument & Value == ValueTwo
		return []unix.SockFilter{
			high, and(wantHigh), jump(unix.BPF_JEQ, uint32(c.ValueTwo>>32), jumpNext, jumpMiss),
			low, and(wantLow), jump(unix.BPF_JEQ, uint32(c.ValueTwo), jumpHit, jumpMiss),
		}, nil
	case specs.OpGreaterThan:
		return ordered(high, low, wantHigh, unix.BPF_JGT, wantLow, jumpHit, jumpMiss), nil
	case specs.OpGreaterEqual:
		return ordered(high, low, wantHigh, unix.BPF_JGE, wantLow, jumpHit, jumpMiss), nil
	case specs.OpLessThan: // not >=
		return ordered(high, low, wantHigh, unix.BPF_JGE, wantLow, jumpMiss, jumpHit), nil
	case specs.OpLessEqual: // not >
		return ordered(high, low, wantHigh, unix.BPF_JGT, wantLow, jumpMiss, jumpHit), nil
	}
	return nil, spec.Errorf(spec.ErrUnsupported, "seccomp operator %q is not supported", c.Op)
}

// ordered decides by the high halves, and by the low ones if those are equal.
func ordered(high, low unix.SockFilter, wantHigh uint32, op uint16, wantLow uint32, greater, less uint8) []unix.SockFilter {
	return []unix.SockFilter{
		high, jump(unix.BPF_JGT, wantHigh, greater, jumpNext),
		jump(unix.BPF_JEQ, wantHigh, jumpNext, less),
		low, jump(op, wantLow, greater, less),
	}
}

func and(mask uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask}
}

// encode lays the program out as struct sock_filter.
func encode(program []unix.SockFilter) []byte {
	out := make([]byte, 0, 8*len(program))
	for _, i := range program {
		out = binary.NativeEndian.AppendUint16(out, i.Code)
		out = append(out, i.Jt, i.Jf)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out
}
