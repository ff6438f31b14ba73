// Package engine keeps containers, images, networks and volumes as their
// blueprints say. It satisfies compose/backend as it is and knows no services,
// plans or operations.
//
// What happens to one container is a life (life.go). Each change of it is a
// transition under its turn; the waits in between (for a process to end, for
// a back-off) hold nothing:
//
//	create ──▶ created ──start──▶ running ──exit──▶ exited | restarting
//	                                 │                         │
//	                                 └── stop, kill: a signal  └─ back-off over: start
//
// A start acquires, in this order, and each thing has its inverse in release:
//
//	monitor ∥ cgroup, root ∥ ports (kept by the keeper) ─▶ leases ─▶ network
//	namespace, links, DNS sockets (kept) ─▶ firewall elements ─▶ recipe ─▶ start
//
// A start that has a processor to spare asks the monitor as soon as the namespace is
// there: only the program waits for the rest (wiring.go).
//
// A restart by policy keeps all but the recipe. A container that has ended
// with no restart to come is released: monitor, sockets, rules, namespace and
// cgroup are gone when its status says exited.
//
// Files are written through engine/store, Cached: they survive a kill -9 of
// ours at any moment, and Sync makes them survive a power failure.
//
//	containers/<id>/container.json  record: what it was created with
//	containers/<id>/status.json     condition: what happened to it last
//	containers/<id>/upper, work     its writable layer
//	networks/<name>/network.json    what it was created with, bridge, subnet
//	networks/<name>/leases.json     addresses by lease key
//	volumes/<name>/volume.json      what it was created with
//
// Open looks at the store and at the machine and makes one of both: containers
// that run on are adopted, what ended meanwhile is ended, and what carries our
// tag and belongs to nobody is removed by the inverse of what made it.
//
// Lock order: life.turn, then bridge.mu, then Engine.mu, then life.mu; nobody
// waits for a process, a peer or a timer with Engine.mu, bridge.mu or life.mu
// held.
package engine
