// Package daemon is the resident process: the socket's server, the operations
// with their store and the one-writer lock, and the wiring of engine and
// compose. It decides nothing about containers and is not in the data path:
// killed at any moment, its successor reads the store and goes on.
//
//	CLI ── socket ──▶ server ──▶ operations ──▶ compose ──▶ engine
//	                    └── lists, logs, exec, attach ─────────▶┘
//
// An operation's life, in the store as projects/<name>/operations/<id>.json
// (the request) and <id>.events beside it (one JSON event a line; the last one
// holds the result):
//
//	submitted ──▶ waiting for its project ──▶ running ──▶ result
//	                 │        ▲                  │ the daemon dies
//	                 │        └──── resumed ─────┘
//	                 └─ canceled ────────────────────────▶ result
//
// One operation at a time writes a project. down, stop and kill cancel a running
// or waiting up of their project and say so; all others wait and say for whom.
// A result is kept for a minute, for a client that lost its connection.
package daemon
