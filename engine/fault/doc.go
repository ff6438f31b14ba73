// Package fault marks the places in the code where a process may be killed or
// a call may fail. The product holds nothing of it: without the build tag
// `faults` both functions are empty, are inlined, and their names are gone (a
// test looks for each of them in the program).
//
// With the tag (make build-faults) the folder faults below MYCOMPOSE_STATE_DIR
// steers it from outside. Each file *.fault there is one fault, one line:
//
//	POINT HIT ACTION PROCESS…
//	store:rename 2 kill mycompose daemon
//	store:create 1 errno:ENOSPC mycompose daemon
//
// PROCESS is what the command line begins with, its program without folder.
// HIT counts passages over all processes of that name, so each fault acts
// exactly once, however often they are started again:
//
//	passage ──▶ append a byte to NAME.hits ──▶ its offset is the number
//	                number == HIT ──▶ write NAME.done ──▶ act
//
// Actions: kill (SIGKILL to itself), stop (SIGSTOP to itself), kill:PID
// (SIGKILL to another), hold (wait until NAME.done has been removed; whoever
// steers does meanwhile what he likes), errno:NAME (the call fails). Where the
// file `trace` is in the folder, each passage is appended to it as a line
// "PROCESS\tPOINT", the process as its first two words.
//
// A name begins with its room, as in store:rename. A colon, so that no name of a
// function or file is taken for one.
//
// The package knows nothing of ours.
package fault
