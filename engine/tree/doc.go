// Package tree handles file trees that nobody can lead out of: it resolves,
// reads, writes, copies and unpacks below one directory descriptor. The tree
// may be hostile (an image layer, the root of a running container): symbolic
// links, absolute or not, ".." and mount points in it never lead to a file
// outside, because every path is resolved by openat2(2) with RESOLVE_IN_ROOT
// and RESOLVE_NO_MAGICLINKS and nothing is ever opened by a joined string.
//
// A Root is a directory descriptor: a folder, or a mount that is attached
// nowhere (fsmount(2), open_tree(2)), or /proc/PID/root opened by the caller.
//
// Errors wrap the errno, so errors.Is(err, fs.ErrNotExist) works. The package
// knows no images and no containers, opens no device node, and never follows
// the last element of a path unless its doc says so.
package tree
