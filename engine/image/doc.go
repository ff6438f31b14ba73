// Package image keeps image records and speaks to the builder.
//
// A record says what an image is: digest, configuration and the ordered layer
// folders that the builder owns. Records never change; names point at them:
//
//	redis:alpine ──▶ docker.io/library/redis:alpine ──▶ sha256:… ──▶ Record
//
// The daemon writes records and names (Store); the builder, a process of its
// own, pulls, unpacks, imports and builds, answers with the record and keeps a
// lease of the same digest, so that its garbage collection spares the layers.
// Client is the daemon's end of that connection; the requests in protocol.go
// are the whole of what the two say to each other. The daemon never opens the
// builder's databases.
//
// The package unpacks nothing, mounts nothing and knows no registry.
package image
