// Package stage is the inside half of a start: it makes of a recipe the process
// that executes the recipe's program. There are two ways:
//
//   - Start, on amd64: a thread of the caller composes the root in a fresh mount
//     namespace, and a vforked child does the rest as a list of system calls
//     (engine/vfork). No program of ours is started.
//   - Main, elsewhere: the small program, forked by engine/spawn into fresh
//     namespaces (or into those of a running container), turns itself into the
//     process. The handover is drawn in engine/recipe.
//
// The order keeps every right until its last use and gives the container
// nothing before it is confined:
//
//	not dumpable, all descriptors close-on-exec
//	cgroups → namespaces → oom score
//	root attached, /proc /sys /dev, mounts in order, pivot_root
//	hostname, sysctls → masked and read-only paths → read-only root
//	terminal → rlimits → keyring → working directory
//	seccomp (here if no_new_privs is off, since it needs CAP_SYS_ADMIN)
//	bounding set → groups, gid, uid → capabilities → ambient
//	no_new_privs, seccomp → execve
//
// Every look into the root file system is by openat2(2) with RESOLVE_IN_ROOT
// and RESOLVE_NO_MAGICLINKS, and every mount goes from a descriptor to a
// descriptor: an image full of symbolic links, or a process that swaps them
// meanwhile, moves no mount out of the container. Everything runs on one
// locked thread, or in the child; the ids, capabilities and filters are that thread's alone and
// become the process's at execve.
//
// The package is part of the small program: free of net, log/slog, os/exec.
package stage
