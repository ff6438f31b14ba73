// Package builder is the inside of the builder process: it pulls, unpacks,
// imports and builds images. It is the sole owner of the content store below
// <state>/builder, held by an exclusive lock:
//
//	builder/
//	  lock            flock(2), for the life of the process
//	  content/        blobs by digest, as registries send them
//	  snapshots/      snapshots/N/fs is one layer folder
//	  meta.db         which blobs and layers belong together, leases
//	  cache.db, …     BuildKit's cache, made at the first build
//
// A layer folder is written once, invisible to anybody, then committed under
// its chain id and never changed. Everything that an operation makes belongs
// to a temporary lease until an image lease, named by the digest of its
// manifest, takes it over; what no lease holds is collected, at the latest at
// the next start.
//
// Build steps are containers of ours: BuildKit decides what to run, Executor
// runs it through engine/spawn.
//
// The package keeps no names: which reference means which image is asked from
// the daemon. It serves one connection (Serve) and ends with it.
package builder
