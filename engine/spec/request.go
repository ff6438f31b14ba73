package spec

import "time"

// PullPolicy says when Pull asks a registry.
type PullPolicy string

const (
	PullMissing PullPolicy = "missing"
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
)

// Registries is what the settings say about registries; it travels with an
// operation.
type Registries struct {
	// Mirrors maps a registry's host ("docker.io") to base URLs that are
	// asked first, in order.
	Mirrors map[string][]string `json:"mirrors,omitempty"`
	// Insecure lists hosts that may be asked by plain HTTP.
	Insecure []string `json:"insecure,omitempty"`
	// Auth maps a registry's host to "user:password", base64; secret.
	Auth map[string]string `json:"auth,omitempty"`
	// AuthFile is where the logins are kept, for messages.
	AuthFile string `json:"authFile,omitempty"`
	// Proxy variables (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) of the user.
	Proxy map[string]string `json:"proxy,omitempty"`
}

// Pull asks for an image.
type Pull struct {
	Reference  string     `json:"reference"`
	Policy     PullPolicy `json:"policy"`
	Platform   string     `json:"platform,omitempty"` // "" is this host's
	Registries Registries `json:"registries,omitzero"`
}

// Push sends a local image to the registry of its name.
type Push struct {
	Reference  string     `json:"reference"`
	Registries Registries `json:"registries,omitzero"`
}

// Build asks for an image to be built.
type Build struct {
	// Name is the reference that the result gets, Tags further ones.
	Name             string            `json:"name"`
	Tags             []string          `json:"tags,omitempty"`
	Context          string            `json:"context"`    // absolute folder
	Dockerfile       string            `json:"dockerfile"` // absolute, or relative to Context
	DockerfileInline string            `json:"dockerfileInline,omitempty"`
	Args             map[string]string `json:"args,omitempty"`
	Target           string            `json:"target,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	// Secrets maps an id to a content digest (see File.Digest).
	Secrets map[string]string `json:"secrets,omitempty"`
	NoCache bool              `json:"noCache,omitempty"`
	Pull    bool              `json:"pull,omitempty"`
	Network string            `json:"network,omitempty"` // "", "host", "none" or a network's name
	// ExtraHosts of build steps; host-gateway is the address of the network's
	// bridge.
	ExtraHosts []ExtraHost `json:"extraHosts,omitempty"`
	// Contexts are named: an absolute folder, docker-image://REF, https://…, or
	// image:REF for one that is here and that no registry is asked for.
	Contexts      map[string]string `json:"contexts,omitempty"`
	NoCacheFilter []string          `json:"noCacheFilter,omitempty"` // stages
	ShmSize       int64             `json:"shmSize,omitempty"`       // bytes, 0: 64 MiB
	Ulimits       map[string]Ulimit `json:"ulimits,omitempty"`
	// CacheFrom are asked for what was built elsewhere, CacheTo get what is
	// built.
	CacheFrom []BuildCache `json:"cacheFrom,omitempty"`
	CacheTo   []BuildCache `json:"cacheTo,omitempty"`
	// SSH maps an id to an agent's socket or a key's file, absolute.
	SSH map[string]string `json:"ssh,omitempty"`
	// Where is where the user asked for it, "compose.yaml:4:5": it leads the
	// error of a build that fails.
	Where      string     `json:"where,omitempty"`
	Platform   string     `json:"platform,omitempty"`
	Registries Registries `json:"registries,omitzero"`
}

// BuildCache is a place for build steps outside of this machine's own cache.
type BuildCache struct {
	// Type is registry, local or inline.
	Type string `json:"type"`
	// Attributes are ref of registry; src or dest, absolute, of local; mode
	// and others that BuildKit knows.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Progress is one line of what an image pull or a build does.
type Progress struct {
	// ID is a layer ("layer sha256:ab12…") or a build step ("web 2/4").
	ID   string `json:"id"`
	Text string `json:"text"` // "Downloading", "RUN make", "CACHED", a line of output
	// Current and Total are bytes; 0 where they mean nothing.
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
	// Output marks Text as a line that a build step wrote.
	Output bool `json:"output,omitempty"`
	Done   bool `json:"done,omitempty"`
	Cached bool `json:"cached,omitempty"`
	Error  bool `json:"error,omitempty"`
}

// Remove says how a container is removed.
type Remove struct {
	// Force kills a running container first.
	Force bool `json:"force,omitempty"`
	// Volumes removes its anonymous volumes.
	Volumes bool `json:"volumes,omitempty"`
	// KeepLog keeps the log folder and the address leases of the replica,
	// for a recreate.
	KeepLog bool `json:"keepLog,omitempty"`
}

// Stop says how a container is stopped.
type Stop struct {
	// Grace overrides the blueprint's time between stop signal and
	// SIGKILL; nil keeps it.
	Grace *time.Duration `json:"grace,omitempty"`
	// Signal overrides the stop signal.
	Signal string `json:"signal,omitempty"`
	// Keep spares the container's network namespace, address, ports and
	// monitor for the start that follows. Without one they go after a while.
	Keep bool `json:"keep,omitempty"`
	// PassPorts has connections to its published TCP ports wait for the next
	// container that publishes them, 10 s at most.
	PassPorts bool `json:"passPorts,omitempty"`
}

// Exec asks for a further process in a running container.
type Exec struct {
	// ID names the exec, so that a client can come back to it; empty asks
	// for a fresh one.
	ID          string   `json:"id,omitempty"`
	Container   string   `json:"container"`
	Args        []string `json:"args"`
	Environment []string `json:"environment,omitempty"` // "K=V", over the container's
	User        string   `json:"user,omitempty"`
	WorkingDir  string   `json:"workingDir,omitempty"`
	Terminal    bool     `json:"terminal,omitempty"`
	Rows        uint16   `json:"rows,omitempty"`
	Columns     uint16   `json:"columns,omitempty"`
	Stdin       bool     `json:"stdin,omitempty"`
	Privileged  bool     `json:"privileged,omitempty"`
}

// ExecResult is how an exec ended.
type ExecResult struct {
	ExitCode int    `json:"exitCode"`
	Reason   string `json:"reason,omitempty"`
}

// Touched is what exists and is going to be changed.
type Touched struct {
	Containers []string // ids
	Networks   []string // names
	Volumes    []string // names
}

// Condition is what Wait waits for.
type Condition string

const (
	// UntilRunning: its process has been executed.
	UntilRunning Condition = "running"
	// UntilHealthy: healthy; an error if it turns unhealthy or ends.
	UntilHealthy Condition = "healthy"
	// UntilExited: ended with no restart to come.
	UntilExited Condition = "exited"
)

// Event is a change of a container that the engine tells its listeners.
type Event struct {
	Time      time.Time         `json:"time"`
	Container string            `json:"container"` // id
	Project   string            `json:"project,omitempty"`
	Action    string            `json:"action"` // create start die stop kill pause … as docker's
	Status    Status            `json:"status,omitzero"`
	Labels    map[string]string `json:"labels,omitempty"`
	Name      string            `json:"name,omitempty"`
	Image     string            `json:"image,omitempty"`
	// Details are what docker tells beside: exitCode, signal, execID.
	Details map[string]string `json:"details,omitempty"`
}
