// Package volume holds what stands behind a container's volumes and binds on
// disk. It stores no record: its callers give it every path and keep what it
// returns. It neither mounts into a container nor copies image content; it
// hands out detached mounts that somebody else moves into place.
//
// A volume's folder:
//
//	<volumes>/<name>/_data    what containers see; 0755 until something sets it
//	<volumes>/<name>/_fill    image content being copied in, see Fill
//
// Invariants: the volumes folder is 0701 at most, so that local users cannot
// list it nor reach set-uid files by guessing (they can only walk through);
// a source is resolved once, afterwards everything goes by descriptor; of the
// mounts of this package only a volume's own file system, see Mount, shows in the
// caller's mount namespace, on _data; Remove never deletes what is mounted there.
package volume
