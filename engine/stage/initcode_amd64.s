//go:build !stage

#include "textflag.h"

#define SYS_rt_sigtimedwait 128
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_prctl 157

#define PR_SET_NAME 15
#define WNOHANG 1
#define SIGCHLD 17

// Signals of the init's own: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGKILL, SIGSEGV,
// SIGSTOP, SIGTTIN, SIGTTOU, SIGSYS, and 32 and 33, which are C libraries'.
#define OWN ((1<<4)|(1<<5)|(1<<7)|(1<<8)|(1<<9)|(1<<11)|(1<<19)|(1<<21)|(1<<22)|(1<<31)|(1<<32)|(1<<33))

// initCode is the whole program of a container's reaping init, see
// initprogram.go. It is copied from here into a file of its own: it refers to
// nothing, and is entered with all signals blocked.
TEXT ·initCode(SB), NOSPLIT|NOFRAME, $0-0
	SUBQ $64, SP

	// prctl(PR_SET_NAME, "mycompose-init"), for ps
	MOVQ $0x736f706d6f63796d, AX // "mycompos"
	MOVQ AX, 0(SP)
	MOVQ $0x0074696e692d65, AX // "e-init"
	MOVQ AX, 8(SP)
	MOVQ $PR_SET_NAME, DI
	MOVQ SP, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVQ $SYS_prctl, AX
	SYSCALL

reap:
	// wait4(-1, NULL, WNOHANG, NULL)
	MOVQ $-1, DI
	XORL SI, SI
	MOVQ $WNOHANG, DX
	XORL R10, R10
	MOVQ $SYS_wait4, AX
	SYSCALL
	CMPQ AX, $0
	JGT  reap

await:
	// rt_sigtimedwait(all, NULL, NULL, 8)
	MOVQ $-1, AX
	MOVQ AX, 24(SP)
	LEAQ 24(SP), DI
	XORL SI, SI
	XORL DX, DX
	MOVQ $8, R10
	MOVQ $SYS_rt_sigtimedwait, AX
	SYSCALL
	CMPQ AX, $0
	JLE  await
	CMPQ AX, $SIGCHLD
	JEQ  reap
	MOVQ $OWN, BX
	BTQ  AX, BX
	JCS  await

	// kill(2, signal)
	MOVQ $2, DI
	MOVQ AX, SI
	MOVQ $SYS_kill, AX
	SYSCALL
	JMP  await

// initCodeEnd lies behind it.
TEXT ·initCodeEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func initCodeBounds() (begin, end *byte)
TEXT ·initCodeBounds(SB), NOSPLIT|NOFRAME, $0-16
	LEAQ ·initCode(SB), AX
	MOVQ AX, begin+0(FP)
	LEAQ ·initCodeEnd(SB), AX
	MOVQ AX, end+8(FP)
	RET
