package model

// MountType is what a mount shows.
type MountType string

const (
	// MountBind shows a path of the host.
	MountBind MountType = "bind"
	// MountVolume shows a named or anonymous volume.
	MountVolume MountType = "volume"
	// MountTmpfs shows an empty file system in memory.
	MountTmpfs MountType = "tmpfs"
)

// Mount is one entry of a service's volumes or tmpfs.
type Mount struct {
	Type MountType `json:"type"`
	// Source is an absolute path for bind, a key of Project.Volumes for volume
	// (empty: anonymous), empty for tmpfs.
	Source string `json:"source,omitempty"`
	// Target is absolute inside the container.
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`

	// CreateHostPath, Propagation and SELinux are for bind. Propagation is "" or
	// one of (r)private, (r)shared, (r)slave; SELinux is "", z or Z and has no
	// effect on a host without SELinux.
	CreateHostPath bool   `json:"create_host_path,omitempty"`
	Propagation    string `json:"propagation,omitempty"`
	SELinux        string `json:"selinux,omitempty"`

	// NoCopy is for volume: leave a fresh one empty instead of filling it with
	// what the image has at Target.
	NoCopy bool `json:"no_copy,omitempty"`
	// Subpath is for volume: mount what lies there instead of its root.
	Subpath string `json:"subpath,omitempty"`

	// Size (bytes), Mode, UID and GID are for tmpfs; zero or nil is the kernel's
	// default. Options are further flags of the short form: exec, noexec, suid,
	// nosuid, dev, nodev.
	Size    int64    `json:"size,omitempty"`
	Mode    *uint32  `json:"mode,omitempty"`
	UID     uint32   `json:"uid,omitempty"`
	GID     uint32   `json:"gid,omitempty"`
	Options []string `json:"options,omitempty"`
}

// FileRef grants a config or a secret to a service.
type FileRef struct {
	// Source is a key of Project.Configs or Project.Secrets.
	Source string `json:"source"`
	// Target is the absolute path inside the container, /<name> for configs and
	// /run/secrets/<name> for secrets by default.
	Target string `json:"target"`
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	// Mode holds permission bits, 0444 by default.
	Mode uint32 `json:"mode"`
}

// Build says how a service's image is made.
type Build struct {
	// Context is the absolute path of a folder.
	Context string `json:"context"`
	// Dockerfile is an absolute path; empty if DockerfileInline is its text.
	Dockerfile       string `json:"dockerfile,omitempty"`
	DockerfileInline string `json:"dockerfile_inline,omitempty"`
	// Args without a value anywhere are left out.
	Args   map[string]string `json:"args,omitempty"`
	Target string            `json:"target,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Tags are further references for the image.
	Tags    []string `json:"tags,omitempty"`
	NoCache bool     `json:"no_cache,omitempty"`
	// Pull asks the registry for base images also when they are there.
	Pull bool `json:"pull,omitempty"`
	// Network is "", host, none or a network's name in the engine.
	Network    string        `json:"network,omitempty"`
	ExtraHosts []ExtraHost   `json:"extra_hosts,omitempty"`
	Secrets    []BuildSecret `json:"secrets,omitempty"`
	// AdditionalContexts are named: an absolute folder, docker-image://REF,
	// https://…, or service:NAME for the image of another service.
	AdditionalContexts map[string]string `json:"additional_contexts,omitempty"`
	// NoCacheFilter names stages whose steps run anew.
	NoCacheFilter []string `json:"no_cache_filter,omitempty"`
	ShmSize       int64    `json:"shm_size,omitempty"` // bytes; 0 is the engine's default
	Ulimits       []Ulimit `json:"ulimits,omitempty"`
	// CacheFrom are asked for what was built elsewhere, CacheTo get what is
	// built.
	CacheFrom []BuildCache `json:"cache_from,omitempty"`
	CacheTo   []BuildCache `json:"cache_to,omitempty"`
	// SSH maps an id to an agent's socket or a key's file.
	SSH map[string]string `json:"ssh,omitempty"`
	// Where is the place of the build in the compose file, for errors:
	// "compose.yaml:4:5".
	Where string `json:"where,omitempty"`
}

// BuildCache is a place for build steps outside of this machine's own cache.
type BuildCache struct {
	// Type is registry, local or inline.
	Type string `json:"type"`
	// Attributes are ref of registry; src or dest, absolute, of local; mode
	// and others that BuildKit knows.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// BuildSecret is a secret for RUN --mount=type=secret.
type BuildSecret struct {
	// Source is a key of Project.Secrets, ID what the Dockerfile calls it.
	Source string `json:"source"`
	ID     string `json:"id"`
}
