package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// module says of a part of the kernel whether it can be used: it is loaded or
// built in, or a module that is there; unknown where no list of modules is.
func (f Facts) module(name string) (there, known bool) {
	if slices.Contains(f.Loaded, name) {
		return true, true
	}
	if slices.Contains(f.Configured, name) || slices.Contains(f.Modules, name) {
		return true, true
	}
	return false, len(f.Modules) > 0 || f.ConfigKnown
}

func fileSystems(f Facts) []Finding {
	if slices.Contains(f.FileSystems, "overlay") {
		return []Finding{ok("overlayfs", "there")}
	}
	if there, _ := f.module("overlay"); there {
		return []Finding{ok("overlayfs", "a module, loaded at the first use")}
	}
	return []Finding{lacks("overlayfs", "the kernel has none", "modprobe overlay, or use a distribution's kernel")}
}

// Numbers of file systems, statfs(2) and linux/magic.h.
const (
	magicOverlay = 0x794c7630
	magicNFS     = 0x6969
	magicTmpfs   = 0x01021994
	magicFAT     = 0x4d44
	magicExFAT   = 0x2011bab0
	magicNTFS    = 0x7366746e
	magicFuse    = 0x65735546
	magic9p      = 0x01021997
	magicCIFS    = 0xff534d42
)

// unfit are file systems on which overlayfs can have no upper folder, with what
// they are called.
var unfit = map[int64]string{
	magicOverlay: "overlayfs (inside of a container)", magicNFS: "NFS", magicFAT: "FAT", magicExFAT: "exFAT",
	magicNTFS: "NTFS", magicFuse: "FUSE", magic9p: "9p", magicCIFS: "SMB",
}

// few is what should be free in the state folder, in bytes.
const few = 1 << 30

func stateFolder(f Facts) []Finding {
	s := f.State
	const otherFolder = "name a folder on ext4, xfs or btrfs: --state-dir or MYCOMPOSE_STATE_DIR"
	var out []Finding
	switch {
	case s.Err != "":
		return []Finding{lacks("state folder", s.Path+": "+s.Err, otherFolder)}
	case unfit[s.Type] != "":
		out = append(out, lacks("state folder", s.Path+" lies on "+unfit[s.Type]+", which can hold no container", otherFolder))
	case s.ReadOnly:
		out = append(out, lacks("state folder", s.Path+" is read-only", "mount -o remount,rw, or "+otherFolder))
	case s.Type == magicTmpfs:
		out = append(out, weak("state folder", s.Path+" lies in memory and is lost at the next boot", otherFolder))
	default:
		out = append(out, ok("state folder", "%s", s.Path))
	}
	switch {
	case s.Free < few:
		out = append(out, weak("disk space", fmt.Sprintf("%d MiB are free in the state folder", s.Free>>20), "mycompose image rm what is not needed, or make room"))
	case s.Inodes > 0 && s.FreeInodes*20 < s.Inodes:
		out = append(out, weak("disk space", "less than 5% of the inodes are free in the state folder", "remove small files, or make a file system with more inodes"))
	default:
		out = append(out, ok("disk space", "%d GiB free", s.Free>>30))
	}
	return out
}

func cgroups(f Facts) []Finding {
	c := f.Cgroup
	if c.Version == 0 {
		return []Finding{lacks("cgroup", "no hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup")}
	}
	out := []Finding{ok("cgroup", "version %d (%s)", c.Version, strings.Join(c.Controllers, " "))}
	if !c.Writable {
		out[0] = lacks("cgroup", "the hierarchy is read-only", "mount -o remount,rw /sys/fs/cgroup; in a container: give it a cgroup of its own")
	}
	cures := map[string]string{
		"memory": "boot with cgroup_enable=memory", "pids": "use a kernel with CONFIG_CGROUP_PIDS", "cpu": "use a kernel with CONFIG_CGROUP_SCHED",
		"cpuset": "use a kernel with CONFIG_CPUSETS",
	}
	what := map[string]string{"memory": "mem_limit", "pids": "pids_limit", "cpu": "cpus", "cpuset": "cpuset"}
	for _, name := range []string{"memory", "cpu", "pids", "cpuset"} {
		if !slices.Contains(c.Controllers, name) {
			out = append(out, weak("cgroup "+name, "no such controller: "+what[name]+" cannot be held", cures[name]))
		}
	}
	if c.Version == 1 && !slices.Contains(c.Controllers, "freezer") {
		out = append(out, weak("cgroup freezer", "no such controller: containers cannot be paused", "mount it below /sys/fs/cgroup/freezer"))
	}
	return out
}

// The least limits that are comfortable.
const (
	leastFiles     = 4096
	leastWatches   = 65536
	leastInstances = 128
)

func limits(f Facts) []Finding {
	var out []Finding
	if f.Files < leastFiles {
		out = append(out, weak("open files", fmt.Sprintf("the hard limit is %d", f.Files), "ulimit -Hn 1048576, in systemd LimitNOFILE=1048576"))
	} else {
		out = append(out, ok("open files", "%d", f.Files))
	}
	for _, name := range []string{"mnt", "net", "pid", "ipc", "uts", "cgroup"} {
		key := "user.max_" + name + "_namespaces"
		if n, told := f.Sysctl[key]; told && n < 100 {
			out = append(out, lacks("namespaces", fmt.Sprintf("%s is %d", key, n), fmt.Sprintf("sysctl %s=10000", key)))
		}
	}
	if n, told := f.Sysctl["kernel.pid_max"]; told && n < 4096 {
		out = append(out, weak("processes", fmt.Sprintf("kernel.pid_max is %d", n), "sysctl kernel.pid_max=4194304"))
	}
	if n, told := f.Sysctl["kernel.pty.max"]; told && n < 256 {
		out = append(out, weak("terminals", fmt.Sprintf("kernel.pty.max is %d", n), "sysctl kernel.pty.max=4096"))
	}
	return out
}

func inotify(f Facts) []Finding {
	watches, told := f.Sysctl["fs.inotify.max_user_watches"]
	instances := f.Sysctl["fs.inotify.max_user_instances"]
	switch {
	case !told:
		return []Finding{weak("inotify", "the kernel has none: watch has to poll", "use a kernel with CONFIG_INOTIFY_USER")}
	case watches < leastWatches:
		return []Finding{weak("inotify", fmt.Sprintf("%d folders can be watched", watches), "sysctl fs.inotify.max_user_watches=524288")}
	case instances < leastInstances:
		return []Finding{weak("inotify", fmt.Sprintf("%d programs can watch files", instances), "sysctl fs.inotify.max_user_instances=512")}
	}
	return []Finding{ok("inotify", "%d watches", watches)}
}
