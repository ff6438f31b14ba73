package wire

// The protocol of the keeper. It listens on <run>/keeper.sock; the daemon
// dials, first and after every restart of either. A command may dial too, to
// stop it.
//
//	daemon                          keeper
//	  │ list ─────────────────────────▶│ a new daemon asks for what is kept,
//	  │◀──── sockets + descriptors     │ and drops what has no container
//	  │ keep(sockets + descriptors) ──▶│ before a container is started;
//	  │                                │ again, all of them, to a new keeper
//	  │ drop(containers) ─────────────▶│
//	  │ replace(binary, small) ───────▶│ ends this daemon, starts the new one
//	  │ stop ─────────────────────────▶│ writes stopped, ends daemon, builder
//	  │                                │ and proxy, leaves
const (
	// KeeperKeep: KeeperSockets + files in their order → nothing. A socket
	// of the same container and name is replaced.
	KeeperKeep = "keep"
	// KeeperDrop: KeeperDropRequest → nothing. Unknown ones are success.
	KeeperDrop = "drop"
	// KeeperList: KeeperListRequest → KeeperSockets + files in their order.
	KeeperList = "list"
	// KeeperPrograms: nothing → nothing, files: mycompose binary, small
	// program.
	KeeperPrograms = "programs"
	// KeeperReplace: nothing + files: mycompose binary, small program →
	// nothing, at once; then the daemon gets SIGTERM, and once it has ended
	// the new one is started. The keeper itself stays as it is.
	KeeperReplace = "replace"
	// KeeperStop: nothing → nothing, once daemon, builder and proxy have
	// ended; then the keeper leaves. Containers run on.
	KeeperStop = "stop"
	// KeeperStatus: nothing → KeeperStatusAnswer.
	KeeperStatus = "status"
)

// KeeperSocket names a kept descriptor: Name is unique for its Container, of
// the daemon's choice ("dns-udp", "tcp 0.0.0.0:5000").
type KeeperSocket struct {
	Container string `json:"container"`
	Name      string `json:"name"`
}

// KeeperSockets name the files that travel with them, in order; at most
// MaxFiles.
type KeeperSockets struct {
	Sockets []KeeperSocket `json:"sockets"`
	// More: the list goes on after the last of Sockets.
	More bool `json:"more,omitempty"`
}

// KeeperListRequest asks for what follows After in the order of container and
// name; nil asks from the beginning. See ListKept.
type KeeperListRequest struct {
	After *KeeperSocket `json:"after,omitempty"`
}

// KeeperDropRequest closes sockets: all of the Containers, and single ones.
type KeeperDropRequest struct {
	Containers []string       `json:"containers,omitempty"`
	Sockets    []KeeperSocket `json:"sockets,omitempty"`
}

// KeeperStatusAnswer is for people and tests.
type KeeperStatusAnswer struct {
	PID int `json:"pid"`
	// DaemonPID is 0 while there is none.
	DaemonPID int `json:"daemonPid"`
	// DaemonStarts counts the daemons that this keeper started.
	DaemonStarts int `json:"daemonStarts"`
	Sockets      int `json:"sockets"`
}

// Descriptors that the roles inherit. A daemon gets the first two; keeper,
// monitor and proxy get all four.
const (
	FDBinary   = 3 // the mycompose binary
	FDSmall    = 4 // the small program
	FDListener = 5 // the listening socket
	FDLock     = 6 // the lock, held
)

// How a keeper is told to begin.
const (
	KeeperStart = "start" // start the keeper and end
	// KeeperPlaced: be it, in the control group that is meant for it already.
	KeeperPlaced = "placed"
	KeeperUnit   = "unit" // be it, as the main process of a service manager's unit
)

// Role names: argv[0] of the small program decides what it is. The daemon and
// the builder are programs of their own.
const (
	RoleDaemon  = "mycompose-daemon" // in comm(5) only: its argv is "mycompose daemon"
	RoleKeeper  = "mycompose-keeper"
	RoleMonitor = "mycompose-monitor"
	RoleStage   = "mycompose-stage"
	RoleInit    = "mycompose-init"
	RoleProxy   = "mycompose-proxy"
	RoleBuilder = "mycompose-builder"
)
