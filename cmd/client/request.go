package client

import (
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// UpRequest is what `up` was asked.
type UpRequest struct {
	// Services selects; empty is all enabled ones.
	Services      []string       `json:"services,omitempty"`
	Scale         map[string]int `json:"scale,omitempty"`
	NoDeps        bool           `json:"noDeps,omitempty"`
	ForceRecreate bool           `json:"forceRecreate,omitempty"`
	NoRecreate    bool           `json:"noRecreate,omitempty"`
	// RecreateDependencies makes containers of services that selected ones
	// depend on anew.
	RecreateDependencies bool `json:"recreateDependencies,omitempty"`
	// RenewAnonymous gives containers that are made anew fresh anonymous
	// volumes.
	RenewAnonymous bool `json:"renewAnonymous,omitempty"`
	RemoveOrphans  bool `json:"removeOrphans,omitempty"`
	IgnoreOrphans  bool `json:"ignoreOrphans,omitempty"`
	Build          bool `json:"build,omitempty"`
	NoBuild        bool `json:"noBuild,omitempty"`
	// RecreateVolumes makes volumes that differ from the file anew; their
	// content is lost.
	RecreateVolumes bool `json:"recreateVolumes,omitempty"`
	// Pull is "", always, missing, never or build.
	Pull    string `json:"pull,omitempty"`
	NoStart bool   `json:"noStart,omitempty"`
	// Wait waits for running or healthy, at most WaitTimeout (0: no bound).
	Wait        bool          `json:"wait,omitempty"`
	WaitTimeout time.Duration `json:"waitTimeout,omitempty"`
	// Timeout of stops on the way; nil keeps each service's grace.
	Timeout *time.Duration `json:"timeout,omitempty"`
	// Timings has an event told for each step: what it waited for, and how
	// long it took.
	Timings bool `json:"timings,omitempty"`
	// Watch begins to watch the files of these services.
	Watch bool `json:"watch,omitempty"`
	// Follow has what is watched follow its compose files too; nil does not.
	Follow *Follow `json:"follow,omitempty"`
	// KeepImages has what is watched keep the images without a name that its
	// rebuilds leave.
	KeepImages bool `json:"keepImages,omitempty"`
	// Prune removes, once all succeeded, images that were built for the project
	// and have no name any more.
	Prune bool `json:"prune,omitempty"`
}

// DownRequest is what `down` was asked.
type DownRequest struct {
	Services      []string       `json:"services,omitempty"`
	RemoveOrphans bool           `json:"removeOrphans,omitempty"`
	Volumes       bool           `json:"volumes,omitempty"`
	Timeout       *time.Duration `json:"timeout,omitempty"`
	// Images is "", local or all.
	Images string `json:"images,omitempty"`
	// Expected: the project has a file, so nothing to remove needs no word.
	Expected bool `json:"expected,omitempty"`
	// File is what that file has.
	File *model.Outline `json:"file,omitempty"`
}

// StartRequest is what `start` was asked.
type StartRequest struct {
	Services    []string      `json:"services,omitempty"`
	Wait        bool          `json:"wait,omitempty"`
	WaitTimeout time.Duration `json:"waitTimeout,omitempty"`
}

// StopRequest is what `stop` was asked.
type StopRequest struct {
	Services []string       `json:"services,omitempty"`
	Timeout  *time.Duration `json:"timeout,omitempty"`
}

// RestartRequest is what `restart` was asked.
type RestartRequest struct {
	Services []string       `json:"services,omitempty"`
	NoDeps   bool           `json:"noDeps,omitempty"`
	Timeout  *time.Duration `json:"timeout,omitempty"`
}

// KillRequest is what `kill` was asked.
type KillRequest struct {
	Services []string `json:"services,omitempty"`
	// Signal is a name or a number; "" is SIGKILL.
	Signal string `json:"signal,omitempty"`
	// Orphans: also containers of services that the file no longer has.
	Orphans bool `json:"orphans,omitempty"`
}

// PauseRequest is what `pause` and `unpause` were asked.
type PauseRequest struct {
	Services []string `json:"services,omitempty"`
}

// RemoveRequest is what `rm` was asked.
type RemoveRequest struct {
	Services []string `json:"services,omitempty"`
	Stop     bool     `json:"stop,omitempty"`
	Volumes  bool     `json:"volumes,omitempty"`
}

// RunRequest makes a one-off container of a service. The result's Started
// holds its id.
type RunRequest struct {
	Service string   `json:"service"`
	Command []string `json:"command,omitempty"`
	// Entrypoint replaces the service's if it is not nil.
	Entrypoint   []string          `json:"entrypoint"`
	Environment  map[string]string `json:"environment,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Name         string            `json:"name,omitempty"`
	User         string            `json:"user,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	CapAdd       []string          `json:"capAdd,omitempty"`
	CapDrop      []string          `json:"capDrop,omitempty"`
	Ports        []spec.Port       `json:"ports,omitempty"`
	ServicePorts bool              `json:"servicePorts,omitempty"`
	UseAliases   bool              `json:"useAliases,omitempty"`
	Mounts       []spec.Mount      `json:"mounts,omitempty"`
	Terminal     bool              `json:"terminal,omitempty"`
	Stdin        bool              `json:"stdin,omitempty"`
	NoDeps       bool              `json:"noDeps,omitempty"`
	// Remove takes the container away when it ends.
	Remove        bool   `json:"remove,omitempty"`
	Build         bool   `json:"build,omitempty"`
	Pull          string `json:"pull,omitempty"`
	RemoveOrphans bool   `json:"removeOrphans,omitempty"`
	// NoStart leaves the start to the client, which attaches first.
	NoStart bool `json:"noStart,omitempty"`
}

// BuildRequest is what `build` was asked.
type BuildRequest struct {
	Services         []string          `json:"services,omitempty"`
	Args             map[string]string `json:"args,omitempty"`
	NoCache          bool              `json:"noCache,omitempty"`
	Pull             bool              `json:"pull,omitempty"`
	WithDependencies bool              `json:"withDependencies,omitempty"`
	// SSH maps an id to an agent's socket or a key's file, absolute.
	SSH map[string]string `json:"ssh,omitempty"`
	// Push sends what was built to its registry.
	Push bool `json:"push,omitempty"`
}

// PullRequest is what `pull` was asked.
type PullRequest struct {
	Services        []string `json:"services,omitempty"`
	IgnoreBuildable bool     `json:"ignoreBuildable,omitempty"`
	IgnoreFailures  bool     `json:"ignoreFailures,omitempty"`
	IncludeDeps     bool     `json:"includeDeps,omitempty"`
	// Policy is "", missing or always.
	Policy string `json:"policy,omitempty"`
}

// PushRequest is what `push` was asked.
type PushRequest struct {
	Services       []string `json:"services,omitempty"`
	IgnoreFailures bool     `json:"ignoreFailures,omitempty"`
	IncludeDeps    bool     `json:"includeDeps,omitempty"`
}

// ImageFileRequest takes an image out of a file on this host.
type ImageFileRequest struct {
	// Path is absolute.
	Path string `json:"path"`
	// Name is the reference for an import; for a load, which takes the
	// archive's, it is what the file is called if not by its path.
	Name string `json:"name,omitempty"`
	// Images are those that a save writes, by name, digest or id.
	Images []string `json:"images,omitempty"`
}

// TagRequest points a further name at an image.
type TagRequest struct {
	Image string `json:"image"`
	Name  string `json:"name"`
}
