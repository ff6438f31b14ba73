// Package client is the daemon's socket as seen by both ends: the paths, the
// requests and answers, the framing of streams, and for the CLI the dialling
// with autostart, reconnect and hand-over to a newer binary.
//
// The socket is <run>/api.sock, the owner's only. Everything of ours lies below
// /mycompose/v1/; /_ping, /version and /vN.NN/ stay free for a
// Docker-compatible API.
//
//	CLI                                    daemon
//	 │ POST operations?follow=1 {id, kind, …}▶│ durable before it is answered
//	 │◀─ {"sequence":1,…} {"sequence":2,…} …  │ JSON lines; the last has a result
//	 │      the connection breaks, the daemon is another one
//	 │ GET operations/ID/events?from=3 ──────▶│
//	 │◀─────────────────────── {"sequence":3,…} … {"kind":"result",…}
//
// The CLI chooses the operation's id, so that a repeated POST is the same
// operation. An operation ends by itself or by POST operations/ID/cancel, never
// because a connection closed.
//
// Log, attach and exec bytes follow an HTTP upgrade as Docker's framed streams
// (stream.go). Every request carries the headers Mycompose-Build and
// Mycompose-Protocol; so does every answer (handover.go). The first answer of a
// daemon of another build is thrown away and the daemon greeted.
package client
