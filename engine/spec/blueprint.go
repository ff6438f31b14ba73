package spec

import "time"

// Blueprint is the wanted container. The engine fills in what the image says
// (entrypoint, environment, user, …) when it creates the container.
type Blueprint struct {
	// ID is 64 hex digits; empty asks the engine for a fresh one.
	ID string `json:"id,omitempty"`
	// Name is unique in a state folder: "shop-web-1".
	Name string `json:"name"`
	// Project groups containers, networks and volumes; it names the cgroup.
	Project string            `json:"project,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Image is the reference as the user wrote it; ImageDigest the image
	// record it was resolved to. Create refuses a missing record.
	Image       string `json:"image"`
	ImageDigest string `json:"imageDigest"`

	// Nil means the image's; an empty non-nil list clears it. A set
	// Entrypoint drops the image's Cmd (Compose spec).
	Entrypoint  []string          `json:"entrypoint"`
	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment,omitempty"`
	// Unset are variables of the image to take away.
	Unset      []string `json:"unset,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	// User is "name|uid[:name|gid]"; empty means the image's.
	User       string   `json:"user,omitempty"`
	GroupAdd   []string `json:"groupAdd,omitempty"`
	Hostname   string   `json:"hostname,omitempty"` // empty: short id
	Domainname string   `json:"domainname,omitempty"`
	Terminal   bool     `json:"terminal,omitempty"`
	StdinOpen  bool     `json:"stdinOpen,omitempty"`
	Init       bool     `json:"init,omitempty"`
	StopSignal string   `json:"stopSignal,omitempty"` // empty: image's or SIGTERM
	// StopGrace is the time from stop signal to SIGKILL; nil means 10 s.
	StopGrace *time.Duration `json:"stopGrace,omitempty"`

	Privileged      bool     `json:"privileged,omitempty"`
	CapAdd          []string `json:"capAdd,omitempty"`
	CapDrop         []string `json:"capDrop,omitempty"`
	NoNewPrivileges bool     `json:"noNewPrivileges,omitempty"`
	// Seccomp is "" for the default profile or "unconfined".
	Seccomp      string            `json:"seccomp,omitempty"`
	ReadOnlyRoot bool              `json:"readOnlyRoot,omitempty"`
	Sysctls      map[string]string `json:"sysctls,omitempty"`
	Ulimits      map[string]Ulimit `json:"ulimits,omitempty"`
	OOMScoreAdj  *int              `json:"oomScoreAdj,omitempty"`
	ShmSize      int64             `json:"shmSize,omitempty"` // bytes, 0: 64 MiB
	Devices      []DeviceMapping   `json:"devices,omitempty"`
	// DeviceRules allow device nodes beside those of Devices; see
	// ParseDeviceRule.
	DeviceRules []string `json:"deviceRules,omitempty"`
	// HostPID, HostIPC and HostUTS leave the container in the host's namespace.
	HostPID bool `json:"hostPid,omitempty"`
	HostIPC bool `json:"hostIpc,omitempty"`
	HostUTS bool `json:"hostUts,omitempty"`
	// PIDMode is "container:ID" for the processes' namespace of another container,
	// and empty for its own or, with HostPID, the host's.
	PIDMode string `json:"pidMode,omitempty"`

	Mounts []Mount `json:"mounts,omitempty"`
	// VolumesFrom adds the mounts that others were created with; the first of
	// two with one target counts, after those of Mounts.
	VolumesFrom []VolumesFrom `json:"volumesFrom,omitempty"`
	Files       []File        `json:"files,omitempty"`
	Resources   Resources     `json:"resources,omitzero"`

	// NetworkMode is "bridge" (the Networks below), "host", "none" or
	// "container:ID".
	NetworkMode string       `json:"networkMode"`
	Networks    []Attachment `json:"networks,omitempty"`
	// Links are names for others that this container alone knows: alias → name.
	Links map[string]string `json:"links,omitempty"`
	Ports []Port            `json:"ports,omitempty"`
	// Expose are "80/tcp" documentation entries for ps.
	Expose     []string    `json:"expose,omitempty"`
	ExtraHosts []ExtraHost `json:"extraHosts,omitempty"`
	// HostLoopback lets the container reach, by its gateway's address, what
	// listens on the host's 127.0.0.1 alone.
	HostLoopback bool `json:"hostLoopback,omitempty"`
	DNS          DNS  `json:"dns,omitzero"`

	// PostStart and PreStop are run by RunHooks, never by the engine itself.
	PostStart []Hook `json:"postStart,omitempty"`
	PreStop   []Hook `json:"preStop,omitempty"`

	Health  *Health `json:"health,omitempty"` // nil: the image's, if any
	Restart Restart `json:"restart,omitzero"`
	Log     Log     `json:"log,omitzero"`
}

// Hook is a command to be run inside the running container.
type Hook struct {
	Args []string `json:"args"`
	// Environment is laid over the container's.
	Environment map[string]string `json:"environment,omitempty"`
	User        string            `json:"user,omitempty"` // empty: the container's
	WorkingDir  string            `json:"workingDir,omitempty"`
	Privileged  bool              `json:"privileged,omitempty"`
}

// Moment says when hooks are run.
type Moment string

const (
	PostStart Moment = "post_start" // after a start that was asked for
	PreStop   Moment = "pre_stop"   // before a stop that was asked for
)

// Hooks are those of a moment, in order.
func (b *Blueprint) Hooks(m Moment) []Hook {
	if m == PreStop {
		return b.PreStop
	}
	return b.PostStart
}

// Ulimit is one rlimit in units of that resource; -1 is unlimited.
type Ulimit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// DeviceMapping gives a host device to the container; Permissions are of "rwm".
type DeviceMapping struct {
	Source, Target, Permissions string
}

// MountType says what stands behind a Mount.
type MountType string

const (
	MountVolume MountType = "volume"
	MountBind   MountType = "bind"
	MountTmpfs  MountType = "tmpfs"
)

// Mount is a volume, bind or tmpfs of a blueprint.
type Mount struct {
	Type MountType `json:"type"`
	// Source is a volume name (empty: anonymous), or an absolute host path.
	Source   string `json:"source,omitempty"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// NoCopy leaves an empty volume empty (otherwise image content goes in).
	NoCopy  bool   `json:"noCopy,omitempty"`
	Subpath string `json:"subpath,omitempty"`
	// CreateHostPath makes a missing bind source as a directory.
	CreateHostPath bool   `json:"createHostPath,omitempty"`
	Propagation    string `json:"propagation,omitempty"` // empty: rprivate
	TmpfsSize      int64  `json:"tmpfsSize,omitempty"`   // bytes, 0: kernel default
	TmpfsMode      uint32 `json:"tmpfsMode,omitempty"`   // 0: 01777
	TmpfsUID       uint32 `json:"tmpfsUid,omitempty"`
	TmpfsGID       uint32 `json:"tmpfsGid,omitempty"`
	// TmpfsOptions are exec, noexec, suid, nosuid, dev, nodev over the
	// default noexec,nosuid,nodev.
	TmpfsOptions []string `json:"tmpfsOptions,omitempty"`
}

// VolumesFrom names a container, by name or id, whose mounts another gets.
type VolumesFrom struct {
	Container string `json:"container"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

// File is a config or a secret: content by digest, never the content itself.
type File struct {
	// Digest is the SHA-256 of the content, 64 hex digits; the engine's
	// store holds the content (see PutContent).
	Digest string `json:"digest"`
	Target string `json:"target"`
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	Mode   uint32 `json:"mode"`
	Secret bool   `json:"secret,omitempty"`
}

// Resources are limits; zero means none. cgroups(7).
type Resources struct {
	Memory            int64   `json:"memory,omitempty"`            // bytes
	MemorySwap        int64   `json:"memorySwap,omitempty"`        // bytes memory+swap, -1 unlimited
	MemoryReservation int64   `json:"memoryReservation,omitempty"` // bytes
	CPUs              float64 `json:"cpus,omitempty"`
	CPUShares         int64   `json:"cpuShares,omitempty"` // 2..262144
	CPUQuota          int64   `json:"cpuQuota,omitempty"`  // microseconds per period
	CPUPeriod         int64   `json:"cpuPeriod,omitempty"` // microseconds
	Cpuset            string  `json:"cpuset,omitempty"`    // "0-3,5"
	Pids              int64   `json:"pids,omitempty"`      // -1 unlimited
	BlockIO           BlockIO `json:"blkio_config,omitzero"`
}

// Attachment joins the container to a network.
type Attachment struct {
	Network     string   `json:"network"` // the network's name
	Aliases     []string `json:"aliases,omitempty"`
	IPv4Address string   `json:"ipv4Address,omitempty"`
	IPv6Address string   `json:"ipv6Address,omitempty"`
	MACAddress  string   `json:"macAddress,omitempty"`
	// InterfaceName is the link's name inside; empty: the next free ethN.
	InterfaceName string `json:"interfaceName,omitempty"`
	// LinkLocal are further addresses of the link: 169.254.0.0/16, fe80::/64.
	LinkLocal []string `json:"linkLocal,omitempty"`
	// LeaseKey keeps the address of a replica over recreate: "shop-web-1".
	LeaseKey string `json:"leaseKey,omitempty"`
	// Priority orders the interfaces, the highest first; GatewayPriority
	// chooses whose gateway is the default route.
	Priority        int `json:"priority,omitempty"`
	GatewayPriority int `json:"gatewayPriority,omitempty"`
}

// Port publishes a container port.
type Port struct {
	HostIP string `json:"hostIp,omitempty"` // empty: all addresses
	// HostPort 0 asks for a free one out of HostPortEnd's range or, if that
	// is 0 too, out of the ephemeral range.
	HostPort      uint16 `json:"hostPort,omitempty"`
	HostPortEnd   uint16 `json:"hostPortEnd,omitempty"`
	ContainerPort uint16 `json:"containerPort"`
	Protocol      string `json:"protocol"` // "tcp" or "udp"
}

// ExtraHost is a line of /etc/hosts; IP may be "host-gateway".
type ExtraHost struct {
	Name string `json:"name"`
	IP   string `json:"ip"`
}

// DNS are a container's own resolver settings.
type DNS struct {
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Options []string `json:"options,omitempty"`
}

// Health is a health check; zero durations and retries mean the defaults
// (30 s, 30 s, 0, 3; Compose spec).
type Health struct {
	Disable bool `json:"disable,omitempty"`
	// Test is ["CMD", …] or ["CMD-SHELL", s]; nil keeps the image's test.
	Test          []string      `json:"test,omitempty"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"startPeriod,omitempty"`
	StartInterval time.Duration `json:"startInterval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// RestartPolicy is the word of the Compose file.
type RestartPolicy string

const (
	RestartNo            RestartPolicy = "no"
	RestartAlways        RestartPolicy = "always"
	RestartOnFailure     RestartPolicy = "on-failure"
	RestartUnlessStopped RestartPolicy = "unless-stopped"
)

// Restart is a restart policy; the empty policy is "no".
type Restart struct {
	Policy RestartPolicy `json:"policy,omitempty"`
	// MaxAttempts bounds the starts by the policy; 0 is unbounded.
	MaxAttempts int `json:"maxAttempts,omitempty"`
	// Delay replaces the back-off, Window is how long a run must last to
	// count as a success and reset it; zero means the engine's (100 ms
	// doubling to 1 min, 10 s).
	Delay  time.Duration `json:"delay,omitempty"`
	Window time.Duration `json:"window,omitempty"`
}

// Log bounds a container's log; zero means 10 MB x 3.
type Log struct {
	// Driver is "" or "local" or "json-file" (all: our own store), or "none".
	Driver   string `json:"driver,omitempty"`
	MaxSize  int64  `json:"maxSize,omitempty"` // bytes of one file
	MaxFiles int    `json:"maxFiles,omitempty"`
	// Replica names the log folder below the project's, so that a log is
	// kept over recreate: "web-1". Empty: the container's id.
	Replica string `json:"replica,omitempty"`
}
