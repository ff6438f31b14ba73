// Package container is the outside half of one container: it joins blueprint
// and image into a process, prepares the recipe with all its descriptors, and
// speaks to the container's monitor, which starts, executes and signals.
//
// It is given descriptors: it knows no networks, no volumes and no store, and
// keeps no state beyond the connection to a monitor.
//
//	Resolve ── blueprint + image config ──▶ Process (pure)
//	Prepare ── Process + rootfs, binds, netns, cgroups ──▶ recipe + descriptors
//	Monitor ── start, exec, attach, signal, resize, status, quit
package container
