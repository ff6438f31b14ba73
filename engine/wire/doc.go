// Package wire carries messages and descriptors between our own processes
// (daemon, keeper, monitor, builder, proxy) over unix stream sockets.
//
// A frame is
//
//	4 bytes  length of the body, little endian
//	4 bytes  number of descriptors that came with the frame (SCM_RIGHTS)
//	body     one JSON object, a Message
//
// On top of frames a [Peer] offers symmetric calls: each side may Call the
// other, answer it, or Notify without an answer. Unknown kinds are answered
// with an error and never end the connection, so the protocols can grow:
// they are additive and frozen per major version.
//
// The package is reached by the small program: it stays free of net,
// log/slog and os/exec.
package wire
