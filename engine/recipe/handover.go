package recipe

// The handover between spawn and stage. spawn executes the small program as
// StageName with these descriptors:
//
//	0, 1, 2            the process's own (/dev/null with a terminal)
//	FDProgram          the small program itself
//	FDChannel          a stream socket to spawn
//	FDFirst, …         the files that the recipe's File fields index
//
//	spawn                         stage
//	  │ length, recipe as JSON ────▶│
//	  │◀──── MessageTerminal + fd   │ only if the recipe asks for one
//	  │◀──── MessageReady           │ all is set up, execve(2) is next
//	  │◀──── MessageError, Failure  │ at any time; nothing follows
//	  │◀──── end of file            │ after MessageReady: the program runs
//
// A length is 4 bytes little endian; a message is one byte, a length, a body.
// With Init, the socket stays open until the init has executed the program.
const (
	// StageName and InitName are the argv[0] of the two roles.
	StageName = "mycompose-stage"
	InitName  = "mycompose-init"

	FDProgram = 3
	FDChannel = 4
	FDFirst   = 5

	MessageTerminal = 't'
	MessageReady    = 'r'
	MessageError    = 'e'
)

// Failure is the body of a MessageError.
type Failure struct {
	Step string `json:"step"` // "mount", "setns", "exec", …
	Text string `json:"text"`
	Code int    `json:"code"` // exit code: 127 not found, else 126
}
