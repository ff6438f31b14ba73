package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// Any stands for all majors or all minors of a DeviceRule.
const Any = -1

// DeviceRule allows access to device nodes; what no rule allows is denied.
type DeviceRule struct {
	Type         string // "c", "b", or "a" for all devices whatsoever
	Major, Minor int64  // Any for all
	Access       string // of "rwm": read, write, mknod
}

// DefaultDevices is what every container may do, as the OCI runtime spec and
// dockerd have it: make any node, use the harmless ones.
func DefaultDevices() []DeviceRule {
	return []DeviceRule{
		{"c", Any, Any, "m"}, {"b", Any, Any, "m"},
		{"c", 1, 3, "rwm"}, {"c", 1, 5, "rwm"}, {"c", 1, 7, "rwm"}, // null zero full
		{"c", 1, 8, "rwm"}, {"c", 1, 9, "rwm"}, // random urandom
		{"c", 5, 0, "rwm"}, {"c", 5, 1, "rwm"}, {"c", 5, 2, "rwm"}, // tty console ptmx
		{"c", 136, Any, "rwm"}, // pts
	}
}

// AllDevices is the rule of privileged containers.
func AllDevices() []DeviceRule { return []DeviceRule{{"a", Any, Any, "rwm"}} }

func (r DeviceRule) check() error {
	valid := (r.Type == "a" || r.Type == "b" || r.Type == "c") && r.Access != ""
	for _, letter := range r.Access {
		valid = valid && (letter == 'r' || letter == 'w' || letter == 'm')
	}
	for _, n := range []int64{r.Major, r.Minor} {
		valid = valid && n >= Any && n < 1<<20
	}
	if !valid {
		return spec.Errorf(spec.ErrInvalid, "cannot allow device %s: the type must be a, b or c, the access of rwm", r)
	}
	return nil
}

// String is the rule as v1's devices.allow takes it.
func (r DeviceRule) String() string {
	if r.Type == "a" {
		return "a"
	}
	number := func(n int64) string {
		if n == Any {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return r.Type + " " + number(r.Major) + ":" + number(r.Minor) + " " + r.Access
}

// allowDevices denies everything but the rules.
func (g *Group) allowDevices(rules []DeviceRule) error {
	for _, r := range rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	if h, ok := g.host.with("devices"); ok {
		return allowV1(g.dir(h), rules)
	}
	h, ok := g.host.unified()
	if !ok {
		return spec.Errorf(spec.ErrUnavailable, "cannot limit devices: this machine has neither the devices controller nor cgroup v2")
	}
	return attachDeviceProgram(g.dir(h), rules)
}

func allowV1(dir string, rules []DeviceRule) error {
	for _, r := range rules {
		if r.Type == "a" {
			return write(path.Join(dir, "devices.allow"), "a")
		}
	}
	if err := write(path.Join(dir, "devices.deny"), "a"); err != nil {
		return fmt.Errorf("cannot deny devices: %w", err)
	}
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.String()
	}
	if err := write(path.Join(dir, "devices.allow"), texts...); err != nil {
		return fmt.Errorf("cannot allow devices %s: %w", strings.Join(texts, ", "), err)
	}
	return nil
}

// instruction is struct bpf_insn, linux/bpf.h.
type instruction struct {
	code     uint8
	dst, src uint8
	off      int16
	imm      int32
}

// Codes of eBPF, linux/bpf.h and linux/bpf_common.h.
const (
	loadWord = 0x61 // dst = *(u32 *)(src + off)
	movImm   = 0xb7
	movReg   = 0xbf
	andImm   = 0x57
	rshImm   = 0x77
	jneImm   = 0x55
	jneReg   = 0x5d
	exit     = 0x95
)

// deviceProgram is a filter of struct bpf_cgroup_dev_ctx: access and type in
// the first word, then major and minor; it returns 1 to allow.
//
//	r2 = type, r3 = access, r4 = major, r5 = minor
//	for each rule: unless all match, jump to the next; return 1
//	return 0
func deviceProgram(rules []DeviceRule) []instruction {
	program := []instruction{
		{loadWord, 2, 1, 0, 0}, {andImm, 2, 0, 0, 0xffff},
		{loadWord, 3, 1, 0, 0}, {rshImm, 3, 0, 0, 16},
		{loadWord, 4, 1, 4, 0}, {loadWord, 5, 1, 8, 0},
	}
	for _, r := range rules {
		program = append(program, ruleBlock(r)...)
	}
	return append(program, instruction{movImm, 0, 0, 0, 0}, instruction{code: exit})
}

func ruleBlock(r DeviceRule) []instruction {
	var block []instruction
	switch r.Type {
	case "b":
		block = append(block, instruction{jneImm, 2, 0, 0, unix.BPF_DEVCG_DEV_BLOCK})
	case "c":
		block = append(block, instruction{jneImm, 2, 0, 0, unix.BPF_DEVCG_DEV_CHAR})
	}
	// Allowed if nothing is asked for beyond the rule: access & rule == access.
	block = append(block,
		instruction{movReg, 1, 3, 0, 0},
		instruction{andImm, 1, 0, 0, accessBits(r.Access)},
		instruction{jneReg, 1, 3, 0, 0})
	if r.Type != "a" && r.Major != Any {
		block = append(block, instruction{jneImm, 4, 0, 0, int32(r.Major)})
	}
	if r.Type != "a" && r.Minor != Any {
		block = append(block, instruction{jneImm, 5, 0, 0, int32(r.Minor)})
	}
	block = append(block, instruction{movImm, 0, 0, 0, 1}, instruction{code: exit})
	for i := range block {
		if block[i].code == jneImm || block[i].code == jneReg {
			block[i].off = int16(len(block) - i - 1)
		}
	}
	return block
}

func accessBits(access string) (bits int32) {
	for _, letter := range access {
		switch letter {
		case 'm':
			bits |= unix.BPF_DEVCG_ACC_MKNOD
		case 'r':
			bits |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			bits |= unix.BPF_DEVCG_ACC_WRITE
		}
	}
	return bits
}

func encode(program []instruction) []byte {
	var out []byte
	for _, i := range program {
		out = append(out, i.code, registers(i.dst, i.src))
		out = binary.NativeEndian.AppendUint16(out, uint16(i.off))
		out = binary.NativeEndian.AppendUint32(out, uint32(i.imm))
	}
	return out
}

// registers packs two 4-bit fields in the byte order of the machine.
func registers(dst, src uint8) uint8 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return dst | src<<4
	}
	return dst<<4 | src
}

// attachDeviceProgram puts the filter on a v2 group; it stays as long as the
// group. A group that has one already gets the new one beside it, and then
// both must allow, so a repeated Create with the same rules changes nothing.
func attachDeviceProgram(dir string, rules []DeviceRule) error {
	group, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer group.Close()
	program, err := loadProgram(encode(deviceProgram(rules)))
	if err != nil {
		return fmt.Errorf("cannot load device filter: %w", err)
	}
	defer unix.Close(program)
	attr := struct{ target, program, kind, flags, replace uint32 }{
		target: uint32(group.Fd()), program: uint32(program),
		kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI,
	}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("cannot attach device filter: %w", err)
	}
	return nil
}

func loadProgram(code []byte) (int, error) {
	license := []byte("\x00")
	attr := struct {
		kind, count            uint32
		code, license          uint64
		logLevel, logSize      uint32
		logBuffer              uint64
		kernelVersion, padding uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(code) / 8),
		code:    uint64(uintptr(unsafe.Pointer(&code[0]))),
		license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(&code[0])
	pinner.Pin(&license[0])
	for {
		fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if !errors.Is(err, unix.EAGAIN) { // a signal came during verification
			return int(fd), err
		}
	}
}

func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return fd, nil
}
