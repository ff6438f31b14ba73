// Package recipe is what is to be started, as plain versioned data: the
// daemon (or the builder) prepares it, the monitor forks the stage with it,
// the stage does what must happen inside. It names no path that a container
// could influence: file trees come as descriptors.
//
// Descriptors travel beside the recipe in one ordered list; a File field is
// an index into that list. -1 (None) means there is none.
//
// The package decides nothing and touches nothing.
package recipe

// Version is the format of Recipe. It grows only by fields that may be absent.
const Version = 1

// None is the File that is not there.
const None = -1

// File is the index of a descriptor that travels with the recipe.
type File int

// Kind says what is started.
type Kind string

const (
	// KindContainer is the first process of a container.
	KindContainer Kind = "container"
	// KindAgain is the first process of a container that is started again in
	// the namespaces that its last run left: all are joined, with what is
	// mounted there, but for a pid namespace of its own. As /proc shows that
	// one, it is made anew, with the paths of it that are masked and read-only;
	// others are not named.
	KindAgain Kind = "again"
	// KindExec is a further process in a running container: exec, probe.
	KindExec Kind = "exec"
	// KindBuild is a RUN step of a build: a container without monitor,
	// its stdio given by the builder.
	KindBuild Kind = "build"
)

// Recipe is one start.
type Recipe struct {
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
	ID      string `json:"id"` // container id, or exec id

	Process    Process    `json:"process"`
	Namespaces Namespaces `json:"namespaces"`
	// Cgroups are how the process enters its cgroup, one per hierarchy
	// (cgroup.Group.Procs): the group's open folder on v2, which it is
	// born in, the open tasks file on v1, which the stage writes itself into
	// before anything else.
	Cgroups []File `json:"cgroups,omitempty"`

	// Gate is read before the program is executed: a byte lets it through, the end
	// of the file calls the start off. nil: nobody is waited for. A monitor of an
	// earlier build may not heed it.
	Gate *File `json:"gate,omitempty"`

	// What follows is for KindContainer and KindBuild only: the mount
	// namespace of the others is the container's. KindAgain has what is marked.

	// Root is a detached mount (overlay) that becomes /.
	Root File `json:"root"`
	// ReadonlyRoot remounts / read-only after all mount points exist.
	ReadonlyRoot bool `json:"readonlyRoot,omitempty"`
	// Mounts are made in order.
	Mounts []Mount `json:"mounts,omitempty"`
	// Devices are made in the private /dev, beside the default ones of the
	// OCI runtime spec (null zero full random urandom tty, ptmx link).
	Devices []Device `json:"devices,omitempty"`
	// MaskedPaths and ReadonlyPaths as in the OCI runtime spec; of KindAgain
	// too.
	MaskedPaths   []string `json:"maskedPaths,omitempty"`
	ReadonlyPaths []string `json:"readonlyPaths,omitempty"`
	// Sysctls are namespaced ones only, dotted names; of KindAgain too.
	Sysctls  map[string]string `json:"sysctls,omitempty"`
	Hostname string            `json:"hostname,omitempty"`
	// ShmSize is the size of /dev/shm in bytes; 0 means 64 MiB.
	ShmSize int64 `json:"shmSize,omitempty"`
	// Init puts our reaping init in front as PID 1; of KindAgain too.
	Init bool `json:"init,omitempty"`
	// CgroupMounts are mounted below /sys/fs/cgroup, as seen from the
	// container's cgroup namespace; none leaves that folder empty.
	CgroupMounts []CgroupMount `json:"cgroupMounts,omitempty"`
	// WritableSys leaves /sys and /sys/fs/cgroup writable (privileged).
	WritableSys bool `json:"writableSys,omitempty"`
}

// Process is what is executed and as whom.
type Process struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	// Cwd is made (0755) if it is missing.
	Cwd string `json:"cwd"`
	// Numeric ids; names were resolved by the daemon in the root fs.
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
	Umask  *uint32  `json:"umask,omitempty"`
	// Capability numbers, linux/capability.h.
	Bounding    []uint `json:"bounding,omitempty"`
	Permitted   []uint `json:"permitted,omitempty"` // also effective
	Inheritable []uint `json:"inheritable,omitempty"`
	Ambient     []uint `json:"ambient,omitempty"`

	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// Seccomp is a compiled classic BPF program: struct sock_filter, 8
	// bytes each, native order. Empty means unconfined.
	Seccomp []byte   `json:"seccomp,omitempty"`
	Rlimits []Rlimit `json:"rlimits,omitempty"`
	// OOMScoreAdj is written if not nil, -1000..1000.
	OOMScoreAdj *int `json:"oomScoreAdj,omitempty"`

	// Terminal asks for a pty from the container's own devpts; the stage
	// answers with its master (see spawn).
	Terminal      bool   `json:"terminal,omitempty"`
	Rows, Columns uint16 `json:",omitempty"`
}

// Rlimit is one setrlimit(2); Type is the name without RLIMIT_, lower case
// ("nofile"). Limits are units of that resource, ^uint64(0) is infinity.
type Rlimit struct {
	Type string `json:"type"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Namespaces says which namespaces are made, joined or left alone.
type Namespaces struct {
	// Network is joined; None leaves the host's (network_mode: host).
	Network File `json:"network"`
	// New ones are made for KindContainer and KindBuild. A false one stays
	// the host's unless joined below.
	Mount, PID, IPC, UTS, Cgroup bool
	// Join are namespaces of a container: for KindExec all of them, for
	// KindAgain those that its last run left, for KindContainer the pid namespace
	// of another one, if it shares that; setns(2) is called in this order.
	Join []Join `json:"join,omitempty"`
}

// Join is one setns(2).
type Join struct {
	// Type is "mnt", "pid", "ipc", "uts", "net" or "cgroup".
	Type string `json:"type"`
	File File   `json:"file"`
}

// MountKind says how a mount comes to be.
type MountKind string

const (
	// MountTree moves the detached mount File to Target (binds, volumes:
	// the daemon made it with open_tree(2) and set its attributes).
	MountTree MountKind = "tree"
	// MountTmpfs makes a tmpfs with Options.
	MountTmpfs MountKind = "tmpfs"
	// MountContent writes Content as a file on a per-container tmpfs that
	// only the container sees, and binds it to Target: configs, secrets,
	// hosts, resolv.conf, hostname.
	MountContent MountKind = "content"
)

// Mount is one mount inside the container. Targets are resolved below the
// root with RESOLVE_IN_ROOT and made if missing (a directory, or a file if
// the source is a file).
type Mount struct {
	Kind     MountKind `json:"kind"`
	Target   string    `json:"target"`
	File     File      `json:"file"`
	ReadOnly bool      `json:"readOnly,omitempty"`
	// Options of a tmpfs: size (bytes), mode, uid, gid, nosuid, nodev, noexec.
	Options []string `json:"options,omitempty"`

	// ContentFile holds the bytes of a MountContent: a memfd, so that
	// secrets stand in no message, argument or log.
	ContentFile File   `json:"contentFile"`
	UID         uint32 `json:"uid,omitempty"`
	GID         uint32 `json:"gid,omitempty"`
	Mode        uint32 `json:"mode,omitempty"`
}

// CgroupMount is one hierarchy as the container sees it, cgroups(7).
type CgroupMount struct {
	// Dir is the folder below /sys/fs/cgroup, "memory"; "" is
	// /sys/fs/cgroup itself, on a host with v2 only.
	Dir string `json:"dir,omitempty"`
	// Type is "cgroup" or "cgroup2".
	Type string `json:"type"`
	// Options of a v1 hierarchy, comma separated: "cpu,cpuacct", "none,name=systemd".
	Options string `json:"options,omitempty"`
}

// Device is a device node to be made in /dev.
type Device struct {
	Path  string `json:"path"` // absolute, below /dev
	Type  string `json:"type"` // "c", "b" or "p"
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
	Mode  uint32 `json:"mode"` // permission bits
	UID   uint32 `json:"uid,omitempty"`
	GID   uint32 `json:"gid,omitempty"`
}

// DefaultDevices are those of the OCI runtime specification.
func DefaultDevices() []Device {
	device := func(name string, major, minor uint32) Device {
		return Device{Path: "/dev/" + name, Type: "c", Major: major, Minor: minor, Mode: 0o666}
	}
	return []Device{
		device("null", 1, 3), device("zero", 1, 5), device("full", 1, 7),
		device("random", 1, 8), device("urandom", 1, 9), device("tty", 5, 0),
	}
}

// DeviceLinks are the symbolic links of that specification, and /dev/ptmx: the
// path of each in a container, and where it leads.
func DeviceLinks() [][2]string {
	return [][2]string{
		{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"},
		{"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
		{"/dev/core", "/proc/kcore"}, {"/dev/ptmx", "pts/ptmx"},
	}
}
