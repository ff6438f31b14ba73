// Package cgroup makes, limits, watches, freezes, kills and removes the
// control groups of containers, on v2, on v1, and on v1 controllers beside a
// v2 hierarchy without any (hybrid). cgroups(7), and the kernel's
// Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
//
// A group is named by one path, /mycompose-<tag>/<project>/<id>, which is the
// same in every hierarchy:
//
//	/sys/fs/cgroup/memory/mycompose-1a2b3c4d/shop/<id>      v1, one per controller
//	/sys/fs/cgroup/unified/mycompose-1a2b3c4d/shop/<id>     hybrid
//	/sys/fs/cgroup/mycompose-1a2b3c4d/shop/<id>             v2
//
// Limits come from v1 where v1 holds the controller; killing comes from v2
// wherever there is a v2 hierarchy. Create of what exists and Remove of what
// does not are success, so whoever finds half a group repeats or removes it.
// Containers enter by the descriptors that Procs gives.
//
// The package starts nothing and keeps nothing on disk.
package cgroup
