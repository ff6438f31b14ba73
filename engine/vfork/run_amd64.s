//go:build !stage

#include "textflag.h"

// Offsets in Call, see call.go.
#define number 0
#define args 8
#define indirect 56
#define accept 64
#define onAccept 80
#define next 88
#define result 96
#define errno 104

// Offsets in State.
#define current 0
#define failed 8

#define SYS_prlimit64 302
#define SYS_clone3 435
#define SYS_exit_group 231

// LOAD takes an argument, or what it points to.
#define LOAD(i, reg) \
	MOVQ (args+8*i)(R12), reg \
	BTQ  $i, BX               \
	JCC  2(PC)                \
	MOVQ (reg), reg

// func run(clone unsafe.Pointer, size uintptr, first *Call, state *State) (pid int64)
//
// The child never returns from here and never writes to the stack, which is the
// parent's too. R12 is the call at hand, R13 the state.
TEXT ·run(SB), NOSPLIT|NOFRAME, $0-40
	MOVQ clone+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ first+16(FP), R12
	MOVQ state+24(FP), R13
	MOVQ $SYS_clone3, AX
	SYSCALL
	TESTQ AX, AX
	JEQ  loop
	MOVQ AX, pid+32(FP)
	RET

loop:
	MOVQ R12, current(R13)
	MOVQ number(R12), AX
	CMPQ AX, $-1
	JEQ  check
	MOVQ indirect(R12), BX
	LOAD(0, DI)
	LOAD(1, SI)
	LOAD(2, DX)
	LOAD(3, R10)
	LOAD(4, R8)
	LOAD(5, R9)
	SYSCALL
	CMPQ AX, $-4095
	JCC  error
	MOVQ AX, result(R12)

forth:
	MOVQ next(R12), R12
	JMP  loop

error:
	NEGQ AX
	MOVQ AX, errno(R12)
	CMPQ AX, $128
	JCC  fail
	BTQ  AX, accept(R12)
	JCC  fail
	MOVQ onAccept(R12), R12
	JMP  loop

// check is no system call: it compares what args[0] points to, under the mask
// args[1], with args[2], and fails with errno args[3].
check:
	MOVQ (args+0)(R12), BX
	MOVQ (BX), BX
	ANDQ (args+8)(R12), BX
	CMPQ BX, (args+16)(R12)
	JEQ  forth
	MOVQ (args+24)(R12), AX
	MOVQ AX, errno(R12)

fail:
	CMPQ failed(R13), $0
	JNE  leave
	MOVQ R12, failed(R13)

leave:
	MOVQ $127, DI
	MOVQ $SYS_exit_group, AX
	SYSCALL
	JMP  leave

// func getrlimit(resource uintptr, limit *[2]uint64) (failure int64)
TEXT ·getrlimit(SB), NOSPLIT|NOFRAME, $0-24
	XORL DI, DI
	MOVQ resource+0(FP), SI
	XORL DX, DX
	MOVQ limit+8(FP), R10
	MOVQ $SYS_prlimit64, AX
	SYSCALL
	NEGQ AX
	MOVQ AX, failure+16(FP)
	RET
