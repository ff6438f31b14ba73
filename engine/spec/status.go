package spec

import (
	"slices"
	"time"
)

// State is where a container is in its life.
//
//	created ──start──▶ running ──exit──▶ exited ──start──▶ running
//	   │                │  ▲                 │
//	   │                │  └─ back-off over ─┤ (restarting: a policy will start it)
//	   │                └─freeze─▶ paused    │
//	   └──────────────remove─────────────────┴──▶ gone
type State string

const (
	StateCreated    State = "created"
	StateRunning    State = "running"
	StatePaused     State = "paused"
	StateRestarting State = "restarting" // ended, in back-off
	StateExited     State = "exited"
)

// HealthState is what the health check found last; empty without a check.
type HealthState string

const (
	HealthNone      HealthState = ""
	HealthStarting  HealthState = "starting"
	HealthHealthy   HealthState = "healthy"
	HealthUnhealthy HealthState = "unhealthy"
)

// Container is a container as it is.
type Container struct {
	Blueprint Blueprint `json:"blueprint"`
	Status    Status    `json:"status"`
}

// Status is what happens to a container.
type Status struct {
	State     State     `json:"state"`
	CreatedAt time.Time `json:"createdAt"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	ExitedAt  time.Time `json:"exitedAt,omitzero"`
	// ExitCode of the last run, 128+signal if it was killed by one.
	ExitCode int `json:"exitCode"`
	// Reason of the last end in a few words where the code alone misleads:
	// "out of memory", "monitor lost", "command not found".
	Reason    string `json:"reason,omitempty"`
	OOMKilled bool   `json:"oomKilled,omitempty"`
	// Previous is how the run before the present one ended; nil if there was
	// none. ExitCode, Reason and OOMKilled are empty while it runs.
	Previous *Ended      `json:"previous,omitempty"`
	Health   HealthState `json:"health,omitempty"`
	// ProbeOutput is the end of the last probe's output, at most 4 KiB.
	ProbeOutput string `json:"probeOutput,omitempty"`
	// Restarts counts the starts by policy since the last command.
	Restarts int `json:"restarts,omitempty"`
	// InPlace: its last start was a restart in the namespaces and with the mounts
	// of the run before.
	InPlace bool `json:"inPlace,omitempty"`
	// StoppedByUser: a stop or kill command ended it; its policy rests.
	StoppedByUser bool `json:"stoppedByUser,omitempty"`
	// HooksDue: it was started by a command, and its hooks after the start have
	// not all succeeded since.
	HooksDue bool `json:"hooksDue,omitempty"`

	// Command is the full argument list that was or will be executed.
	Command []string `json:"command,omitempty"`
	// Endpoints are the addresses held, Ports the ports really published.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Ports     []Port     `json:"ports,omitempty"`
	// ExposedPorts are "80/tcp" of image and blueprint together.
	ExposedPorts []string `json:"exposedPorts,omitempty"`
	// Volumes maps mount targets to the volume names behind them,
	// anonymous ones included, those of VolumesFrom not.
	Volumes map[string]string `json:"volumes,omitempty"`
}

// Ended is how a run of a container ended.
type Ended struct {
	At        time.Time `json:"at"`
	ExitCode  int       `json:"exitCode"`
	Reason    string    `json:"reason,omitempty"`
	OOMKilled bool      `json:"oomKilled,omitempty"`
}

// Begun notes a start: what the last run left becomes Previous.
func (s *Status) Begun(at time.Time) {
	if !s.ExitedAt.IsZero() {
		s.Previous = &Ended{s.ExitedAt, s.ExitCode, s.Reason, s.OOMKilled}
	}
	s.State, s.StartedAt = StateRunning, at
	s.ExitedAt, s.ExitCode, s.Reason, s.OOMKilled = time.Time{}, 0, "", false
}

// Up reports whether a Diff should treat the container as running: a
// container in back-off is.
func (s Status) Up() bool {
	return s.State == StateRunning || s.State == StateRestarting || s.State == StatePaused
}

// Endpoint is a container's place on a network.
type Endpoint struct {
	Network string `json:"network"`
	IPv4    string `json:"ipv4,omitempty"`
	IPv6    string `json:"ipv6,omitempty"`
	MAC     string `json:"mac,omitempty"`
}

// Network is the wanted network; as an answer also the one that is.
type Network struct {
	Name    string            `json:"name"`
	Project string            `json:"project,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Driver is "" or "bridge", "macvlan" or "ipvlan".
	Driver string `json:"driver,omitempty"`
	// Internal networks have no way out of the host.
	Internal bool `json:"internal,omitempty"`
	// Attachable is kept and shown; every network of ours is.
	Attachable bool `json:"attachable,omitempty"`
	// EnableIPv6 gives the network an IPv6 subnet, DisableIPv4 takes that of
	// IPv4; one of them there is.
	EnableIPv6  bool `json:"enableIpv6,omitempty"`
	DisableIPv4 bool `json:"disableIpv4,omitempty"`
	// Pools are the wanted address ranges; a family without one asks for a
	// choice. As an answer they are complete.
	Pools []Pool `json:"pools,omitempty"`
	MTU   int    `json:"mtu,omitempty"` // bytes, 0: the uplink's
	// Options are those of the driver, see ParseNetworkOptions.
	Options map[string]string `json:"options,omitempty"`
	// ID is 64 hex digits, CreatedAt when it was made, Containers the ids of
	// those attached; the engine sets them.
	ID         string    `json:"id,omitempty"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	Containers []string  `json:"containers,omitempty"`
}

// NetworkDetails is a network with what is live of it.
type NetworkDetails struct {
	Network
	// Link is the network's device on the host: its bridge, or the parent.
	Link string `json:"link"`
	// Attached are the containers on it, sorted by name.
	Attached []NetworkMember `json:"attached,omitempty"`
	// Names are what containers on it can ask for, with the addresses.
	Names map[string][]string `json:"names,omitempty"`
	// Rules are the firewall's elements for it that the kernel holds now.
	Rules []string `json:"rules,omitempty"`
	// Clashes are routes of the host that lead where its subnets do.
	Clashes []string `json:"clashes,omitempty"`
}

// NetworkMember is a container on a network.
type NetworkMember struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Link is the name of the device in the container.
	Link string `json:"link,omitempty"`
	// IPv4 and IPv6 have the lengths of their subnets: "10.1.2.3/24".
	IPv4 string `json:"ipv4,omitempty"`
	IPv6 string `json:"ipv6,omitempty"`
	MAC  string `json:"mac,omitempty"`
}

// Pool is one address range of a network.
type Pool struct {
	// Subnet in CIDR form; it decides the family.
	Subnet string `json:"subnet"`
	// Gateway is an address of Subnet; empty is its first.
	Gateway string `json:"gateway,omitempty"`
	// IPRange in CIDR form limits what is handed out; empty: all of Subnet.
	IPRange string `json:"ipRange,omitempty"`
	// Reserved are addresses that are never handed out, by a name that only
	// documents (aux_addresses).
	Reserved map[string]string `json:"reserved,omitempty"`
}

// Volume is the wanted volume; as an answer also the one that is.
type Volume struct {
	Name    string            `json:"name"`
	Project string            `json:"project,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Driver  string            `json:"driver,omitempty"` // "" or "local"
	Options map[string]string `json:"options,omitempty"`
	// Anonymous volumes go with `down -v` or `rm -v` of their container.
	Anonymous  bool      `json:"anonymous,omitempty"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	Mountpoint string    `json:"mountpoint,omitempty"` // for people: volume inspect
	// Left is the engine's own note about an anonymous one; no answer has it.
	Left *LeftVolume `json:"left,omitempty"`
}

// LeftVolume says for whom an anonymous volume waits whose container was removed
// for a successor: the replica, as of Log.Replica, that has it at a target.
type LeftVolume struct {
	Replica string `json:"replica"`
	Target  string `json:"target"`
}

// Image is an image as the engine knows it.
type Image struct {
	// Digest names the image record: "sha256:…" of its config.
	Digest string `json:"digest"`
	// Names are all references that point to it.
	Names     []string  `json:"names,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// PulledAt is when a registry was asked last what the reference means;
	// zero for an image that was built, loaded or imported.
	PulledAt     time.Time         `json:"pulledAt,omitzero"`
	Size         int64             `json:"size"` // bytes on disk, shared layers counted whole
	Architecture string            `json:"architecture,omitempty"`
	OS           string            `json:"os,omitempty"`
	Config       ImageConfig       `json:"config"`
	Extra        map[string]string `json:"extra,omitempty"`
}

// ImageConfig is the part of the OCI image config that a start uses, with
// docker's HEALTHCHECK.
type ImageConfig struct {
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	Env          []string          `json:"env,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	User         string            `json:"user,omitempty"`
	StopSignal   string            `json:"stopSignal,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"` // "80/tcp", sorted
	Volumes      []string          `json:"volumes,omitempty"`      // sorted
	Health       *Health           `json:"health,omitempty"`
}

// Arguments is what a container of the blueprint executes: an entrypoint in
// the blueprint drops the image's command; empty if neither says anything.
func (c ImageConfig) Arguments(b Blueprint) []string {
	entrypoint, command := b.Entrypoint, b.Command
	if entrypoint == nil {
		entrypoint = c.Entrypoint
		if command == nil {
			command = c.Cmd
		}
	}
	return slices.Concat(entrypoint, command)
}
