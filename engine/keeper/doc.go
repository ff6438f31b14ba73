// Package keeper is the role mycompose-keeper of the small program, one per
// state folder. It sees to it that there is a daemon, and it holds what must
// outlive one: the mycompose binary and the small program, open, and sockets
// that daemons gave it, each tagged with a container's id. It knows nothing of
// what they are for.
//
// How it begins (engine/wire, EnsureKeeper): it inherits keeper.lock, held, and
// the listening keeper.sock. A command starts it in a session of its own. For
// monitors and daemons, which live on, `mycompose-keeper start` does and ends, so
// that the keeper is nobody's child to wait for.
//
//	        daemon.lock held by a daemon that another keeper started?
//	           yes │                        │ no
//	               ▼                        ▼
//	watching ── its pidfd ends ──▶ starting: execute the binary's descriptor
//	                                        │ ▲
//	                            its child   ▼ │ at once; after two quick ends
//	                                     running  100 ms, doubling to 5 s
//	                                        │
//	    stop, SIGTERM: write `stopped`, end daemon, builder, proxy; leave
//	    replace: end the daemon, start the new binary; back to the one before
//	             if the new one does not stay up
//	    keeper.lock removed (somebody emptied the run folder): kill the daemon
//	             and leave, as if both had been killed; a monitor starts anew
//
// It is child subreaper: monitors whose daemon has died become its children,
// and it reaps them.
//
// The package is reached by the small program: it stays free of net, log/slog
// and os/exec.
package keeper
