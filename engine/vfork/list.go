package vfork

import "unsafe"

// List is a list of calls with all that they point to, in memory that the
// garbage collector knows nothing of.
type List struct {
	memory []byte // page aligned, all zero
	calls  int    // from the beginning
	top    uintptr
	state  *State
	full   bool
}

const callSize = unsafe.Sizeof(Call{})

// NewList makes a list in memory, which the caller maps and unmaps. A part of
// an eighth is for the calls, the rest for what they point to.
func NewList(memory []byte) *List {
	l := &List{memory: memory}
	l.begin()
	return l
}

func (l *List) begin() {
	l.calls, l.top, l.full = 0, l.rest(), false
	l.state = (*State)(l.room(unsafe.Sizeof(State{})))
}

// rest is where the calls' part of the memory ends.
func (l *List) rest() uintptr { return uintptr(len(l.memory)) / 8 / callSize * callSize }

// Reset empties the list for a further child, in pages that are there already. The
// one before has executed a program or ended, and nothing of it is read any more.
func (l *List) Reset() {
	if l.full {
		clear(l.memory)
	} else {
		clear(l.memory[:uintptr(l.calls)*callSize])
		clear(l.memory[l.rest():l.top])
	}
	l.begin()
}

// Full reports whether something did not find room: then the list must not be
// run.
func (l *List) Full() bool { return l.full }

// room takes n bytes, zero and aligned.
func (l *List) room(n uintptr) unsafe.Pointer {
	n = (n + 7) &^ 7
	if l.top+n > uintptr(len(l.memory)) {
		l.full = true
		return unsafe.Pointer(&l.memory[0])
	}
	p := unsafe.Pointer(&l.memory[l.top])
	l.top += n
	return p
}

// Address is where bytes lie in the list's memory.
type Address uintptr

// Bytes copies data into the list's memory.
func (l *List) Bytes(data []byte) Address {
	p := l.room(uintptr(len(data)))
	if !l.full {
		copy(unsafe.Slice((*byte)(p), len(data)), data)
	}
	return Address(p)
}

// Room takes n zero bytes of the list's memory.
func (l *List) Room(n int) Address { return Address(l.room(uintptr(n))) }

// String copies a C string into the list's memory.
func (l *List) String(s string) Address {
	p := l.room(uintptr(len(s)) + 1)
	if !l.full {
		copy(unsafe.Slice((*byte)(p), len(s)), s)
	}
	return Address(p)
}

// Strings makes a vector of C strings, as execve(2) takes it.
func (l *List) Strings(all []string) Address {
	p := l.room(uintptr(len(all)+1) * 8)
	for i, s := range all {
		at := l.String(s)
		if !l.full {
			unsafe.Slice((*uint64)(p), len(all)+1)[i] = uint64(at)
		}
	}
	return Address(p)
}

// Word reads eight bytes of the list's memory.
func (l *List) Word(at Address) uint64 {
	return *(*uint64)(unsafe.Pointer(&l.memory[uintptr(at)-uintptr(unsafe.Pointer(&l.memory[0]))]))
}

// Call adds a call. An argument is an int, a uintptr, an Address, a string,
// which is copied, or an earlier Call, whose result it is.
func (l *List) Call(number uintptr, args ...any) *Call {
	c := l.add()
	c.number = int64(number)
	for i, arg := range args {
		switch a := arg.(type) {
		case int:
			c.args[i] = uint64(int64(a))
		case uintptr:
			c.args[i] = uint64(a)
		case uint64:
			c.args[i] = a
		case Address:
			c.args[i] = uint64(a)
		case string:
			c.args[i] = uint64(l.String(a))
		case *Call:
			c.args[i] = uint64(uintptr(unsafe.Pointer(&a.result)))
			c.indirect |= 1 << i
		default:
			panic("vfork: an argument of an unknown type")
		}
	}
	return c
}

// Check adds a comparison: the list fails with errno unless the eight bytes at
// an address, under mask, are want.
func (l *List) Check(at Address, mask, want uint64, errno uintptr) *Call {
	c := l.add()
	c.number = -1
	c.args = [6]uint64{uint64(at), mask, want, uint64(errno)}
	return c
}

// FailedAt is where the address of the failed call lies: zero before.
func (l *List) FailedAt() Address { return Address(unsafe.Pointer(&l.state.failed)) }

func (l *List) add() *Call {
	if uintptr(l.calls+1)*callSize > uintptr(len(l.memory))/8 {
		l.full = true
		l.calls = 0
	}
	c := l.at(l.calls)
	l.calls++
	return c
}

func (l *List) at(i int) *Call { return (*Call)(unsafe.Pointer(&l.memory[uintptr(i)*callSize])) }

func (l *List) first() *Call { return l.at(0) }

// link leads each call to the one behind it where nothing else was said, and
// the last one to a comparison that fails.
func (l *List) link() {
	l.Check(l.FailedAt(), 0, 1, 0)
	for i := range l.calls {
		c := l.at(i)
		if c.next == nil {
			c.next = l.at(i + 1)
		}
		if c.onAccept == nil {
			c.onAccept = c.next
		}
	}
}
