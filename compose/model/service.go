package model

import (
	"encoding/json"
	"time"
)

// Service is one service of a project. Zero values mean "not given": the image,
// or the engine's default, decides.
type Service struct {
	Name string `json:"name"`
	// Image is the reference as written; empty only if Build is set
	// (Project.ImageName).
	Image string `json:"image,omitempty"`
	Build *Build `json:"build,omitempty"`
	// PullPolicy is "", always, never, missing, build, daily, weekly or
	// every_<duration>.
	PullPolicy string `json:"pull_policy,omitempty"`
	// Scale is the wanted number of replicas, from scale or deploy.replicas.
	Scale int `json:"scale"`
	// ContainerName replaces <project>-<service>-<n>; then Scale is at most 1.
	ContainerName string            `json:"container_name,omitempty"`
	Hostname      string            `json:"hostname,omitempty"`
	Domainname    string            `json:"domainname,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Profiles      []string          `json:"profiles,omitempty"`

	// Command and Entrypoint: nil keeps the image's, an empty list clears it.
	Command    []string `json:"command"`
	Entrypoint []string `json:"entrypoint"`
	WorkingDir string   `json:"working_dir,omitempty"`
	// User is "name|uid[:group|gid]".
	User     string   `json:"user,omitempty"`
	GroupAdd []string `json:"group_add,omitempty"`
	// Environment is the variables to set, env_file included.
	Environment map[string]string `json:"environment,omitempty"`
	// Unset are variables of the image to take away (named without a value, and
	// unset where the command ran), sorted.
	Unset []string `json:"unset,omitempty"`
	// Init asks for a first process that reaps and forwards signals.
	Init       bool   `json:"init,omitempty"`
	TTY        bool   `json:"tty,omitempty"`
	StdinOpen  bool   `json:"stdin_open,omitempty"`
	StopSignal string `json:"stop_signal,omitempty"`
	// StopGracePeriod is how long after the stop signal SIGKILL comes; nil is
	// the engine's default (10 s), zero is at once.
	StopGracePeriod *time.Duration `json:"stop_grace_period,omitempty"`
	Ulimits         []Ulimit       `json:"ulimits,omitempty"`
	// OOMScoreAdj is -1000 to 1000; nil leaves the engine's.
	OOMScoreAdj *int `json:"oom_score_adj,omitempty"`

	Privileged bool     `json:"privileged,omitempty"`
	CapAdd     []string `json:"cap_add,omitempty"`
	CapDrop    []string `json:"cap_drop,omitempty"`
	// NoNewPrivileges and SeccompUnconfined are the security_opt entries that we
	// know.
	NoNewPrivileges   bool              `json:"no_new_privileges,omitempty"`
	SeccompUnconfined bool              `json:"seccomp_unconfined,omitempty"`
	ReadOnly          bool              `json:"read_only,omitempty"`
	Sysctls           map[string]string `json:"sysctls,omitempty"`
	Devices           []Device          `json:"devices,omitempty"`
	// DeviceRules allow device nodes beside those of Devices: "c 1:3 rwm".
	DeviceRules []string `json:"device_rules,omitempty"`
	// HostPID, HostIPC and HostUTS take the host's namespace in place of one of
	// the container's own.
	HostPID bool `json:"host_pid,omitempty"`
	HostIPC bool `json:"host_ipc,omitempty"`
	HostUTS bool `json:"host_uts,omitempty"`
	// PIDMode is service:<name> or container:<name or id> for the pid namespace of
	// another, else "".
	PIDMode string `json:"pid_mode,omitempty"`

	// Mounts are the entries of volumes and tmpfs, in the order of the file.
	Mounts []Mount `json:"mounts,omitempty"`
	// VolumesFrom are whose mounts it gets beside its own, the first of two with
	// one target.
	VolumesFrom []VolumesFrom `json:"volumes_from,omitempty"`
	Configs     []FileRef     `json:"configs,omitempty"`
	Secrets     []FileRef     `json:"secrets,omitempty"`

	// NetworkMode is "" (Networks count), none, host, bridge, service:<name> or
	// container:<name or id>.
	NetworkMode string `json:"network_mode,omitempty"`
	// Networks are sorted by network key.
	Networks []Attachment `json:"networks,omitempty"`
	// Links are names for others that this one alone knows: alias → service, or a
	// container on one of its networks (external_links).
	Links map[string]string `json:"links,omitempty"`
	Ports []Port            `json:"ports,omitempty"`
	// Expose only documents; sorted by port, then protocol.
	Expose    []ExposedPort `json:"expose,omitempty"`
	DNS       []string      `json:"dns,omitempty"`
	DNSSearch []string      `json:"dns_search,omitempty"`
	DNSOpt    []string      `json:"dns_opt,omitempty"`
	// ExtraHosts are sorted by name; a name may stand more than once.
	ExtraHosts []ExtraHost `json:"extra_hosts,omitempty"`

	Resources Resources `json:"resources,omitzero"`
	Restart   Restart   `json:"restart,omitzero"`
	// DependsOn is sorted by service. It holds what depends_on says, and the
	// services that network_mode and pid name.
	DependsOn   []Dependency `json:"depends_on,omitempty"`
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"`
	Logging     *Logging     `json:"logging,omitempty"`
	// PostStart and PreStop are run in each replica after a start and before a
	// stop that somebody asked for.
	PostStart []Hook `json:"post_start,omitempty"`
	PreStop   []Hook `json:"pre_stop,omitempty"`
	// NoAttach keeps an attached `up` from showing what the service writes.
	NoAttach bool `json:"no_attach,omitempty"`
	// Watch are the rules of develop.watch.
	Watch []WatchRule `json:"watch,omitempty"`

	// Extensions are the x- keys of the service; see HostLoopback.
	Extensions map[string]json.RawMessage `json:"extensions,omitempty"`
}

// HostLoopback is what x-host-loopback says: the service may reach, as
// host.docker.internal, what listens on the host's 127.0.0.1 alone.
func (s *Service) HostLoopback() bool { return string(s.Extensions["x-host-loopback"]) == "true" }

// VolumesFrom names whose mounts a service gets: one of the project, or a
// container.
type VolumesFrom struct {
	Service   string `json:"service,omitempty"`
	Container string `json:"container,omitempty"` // name or id
	ReadOnly  bool   `json:"read_only,omitempty"`
}

// Ulimit is one resource limit; -1 is unlimited.
type Ulimit struct {
	// Name is the RLIMIT in lower case without prefix, e.g. nofile.
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Device gives a device node of the host, or all in a folder, to a container.
type Device struct {
	Source string `json:"source"` // absolute path on the host
	Target string `json:"target"` // absolute path in the container, below /dev
	// Permissions are of "rwm": read, write, mknod.
	Permissions string `json:"permissions"`
}

// Resources are the limits of each replica. Zero is "no limit".
type Resources struct {
	// NanoCPUs is processor time per time, in billionths: 500000000 is half a CPU.
	NanoCPUs int64 `json:"nano_cpus,omitempty"`
	// CPUQuota is processor time per CPUPeriod, both microseconds; a period of
	// zero is the kernel's, 100000.
	CPUQuota  int64 `json:"cpu_quota,omitempty"`
	CPUPeriod int64 `json:"cpu_period,omitempty"`
	// CPUShares is the weight against others, 2 to 262144, default 1024.
	CPUShares int64 `json:"cpu_shares,omitempty"`
	// CPUSet is a list such as 0-3,5.
	CPUSet string `json:"cpuset,omitempty"`
	// Memory, MemoryReservation and ShmSize are bytes. MemorySwap is memory and
	// swap together in bytes, -1 unlimited.
	Memory            int64 `json:"memory,omitempty"`
	MemorySwap        int64 `json:"memory_swap,omitempty"`
	MemoryReservation int64 `json:"memory_reservation,omitempty"`
	ShmSize           int64 `json:"shm_size,omitempty"`
	// Pids is the number of processes and threads, -1 unlimited.
	Pids    int64   `json:"pids,omitempty"`
	BlockIO BlockIO `json:"blkio_config,omitzero"`
}

// Restart is the restart policy, from restart or deploy.restart_policy.
type Restart struct {
	// Policy is "" (no), no, always, on-failure or unless-stopped.
	Policy string `json:"policy,omitempty"`
	// MaxRetries bounds on-failure; zero is without bound.
	MaxRetries int `json:"max_retries,omitempty"`
	// Delay is the wait before a restart, in place of the back-off; Window how
	// long a replica must have run for the restart to count as a success. Zero
	// leaves both to the engine.
	Delay  time.Duration `json:"delay,omitempty"`
	Window time.Duration `json:"window,omitempty"`
}

// Condition says what a dependency must have reached.
type Condition string

// The conditions of depends_on.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
	// Required dependencies fail the dependant; the others only warn, and may
	// name a service that is not enabled.
	Required bool `json:"required"`
	// Restart: the dependant is restarted after compose restarted the dependency.
	Restart bool `json:"restart,omitempty"`
}

// Healthcheck overrides the image's. Zero values inherit.
type Healthcheck struct {
	// Disable turns the image's check off (also for test: NONE).
	Disable bool `json:"disable,omitempty"`
	// Test begins with CMD or CMD-SHELL.
	Test          []string      `json:"test,omitempty"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Logging says how output is kept.
type Logging struct {
	// Driver is "", json-file, local or none.
	Driver string `json:"driver,omitempty"`
	// MaxSize is bytes per file, -1 unlimited; MaxFile the number of files. Zero
	// is the default of the settings.
	MaxSize int64 `json:"max_size,omitempty"`
	MaxFile int   `json:"max_file,omitempty"`
}

// WatchRule is one rule of develop.watch.
type WatchRule struct {
	// Path is absolute.
	Path string `json:"path"`
	// Action is sync, rebuild, restart, sync+restart or sync+exec.
	Action      string   `json:"action"`
	Target      string   `json:"target,omitempty"`
	Ignore      []string `json:"ignore,omitempty"`
	Include     []string `json:"include,omitempty"`
	InitialSync bool     `json:"initial_sync,omitempty"`
	// Exec is for sync+exec.
	Exec *Hook `json:"exec,omitempty"`
}

// Hook is a command run inside a running container.
type Hook struct {
	Command     []string          `json:"command"`
	User        string            `json:"user,omitempty"`
	Privileged  bool              `json:"privileged,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
}
