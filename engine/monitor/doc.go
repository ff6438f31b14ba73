// Package monitor is the role mycompose-monitor of the small program: one per
// container, the parent of its first process and of every exec in it. It holds
// their stdio or pty, writes the log and the exit record, and holds the
// container's network namespace. It decides nothing about restarts:
// it starts what the daemon says and tells how it ended (protocol:
// engine/wire, monitor.go).
//
// It needs no daemon. While there is none it writes on, keeps what execs wrote
// and how they ended, and sees to it that there is a keeper, which sees to it
// that there is a daemon, which dials:
//
//	            daemon dials
//	   ┌──────────────────────────┐
//	   ▼                          │
//	connected ── connection ──▶ alone ── ensure keeper, with back-off,
//	   │           ends           │       unless `stopped` is written
//	   │ quit                     │ no container for a minute
//	   ▼                          ▼
//	  end                        end
//
// A run of a process:
//
//	start ─▶ running ─▶ exited ─▶ drained ─▶ recorded ─▶ told
//	          pumps: read, write to log, offer to clients, read again
//
// Drained: what its pipes hold has been read; a pipe that somebody else still
// holds open is left after two seconds. Recorded: the exit record is on disk
// under its name. Told: the daemon, if one is connected, has been notified.
//
// Lock order: Monitor.mu, then a client's or output's own; nobody blocks on a
// peer, a pipe or a disk with Monitor.mu held.
//
// The package is reached by the small program: it stays free of net, log/slog
// and os/exec.
package monitor
