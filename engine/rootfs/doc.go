// Package rootfs prepares, outside of any container, the file trees that a
// container will see, as detached mounts: the overlay that becomes its root
// and the sources of its binds and volumes. Nothing appears in the host's
// mount table; closing the descriptor of a mount that nobody attached takes it
// away again. The stage (engine/stage) attaches them inside.
//
// Source paths are resolved once, when their descriptor is opened; layers are
// named to the kernel as /proc/self/fd/N, so that no character of a path
// matters and the container's mount table shows no path of the host.
//
// Needs Linux 6.1 (design.md section 2): open_tree(2), mount_setattr(2),
// fsopen(2) of overlay. Where the kernel takes no long list of layers that
// way, mount(2) in a private mount namespace does the same.
package rootfs
