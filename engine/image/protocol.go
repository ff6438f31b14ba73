package image

import (
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// Kinds of messages between daemon and builder. Additive: a new field may be
// absent, an unknown kind is answered with an error (see engine/wire).
//
//	daemon ──▶ builder   pull, push, build, import, load, save (1 file each):
//	                     calls; answered when the work is done
//	                     release, keep, cancel
//	builder ──▶ daemon   event: notification while a job runs
//	                     resolve: which record has this name?
//	                     store: keep this image (pulled for a FROM)
//	                     sandbox, unsandbox: a network namespace for a RUN
const (
	KindPull    = "image.pull"
	KindBuild   = "image.build"
	KindImport  = "image.import"
	KindLoad    = "image.load"
	KindSave    = "image.save"
	KindPush    = "image.push"
	KindRelease = "image.release"
	KindKeep    = "image.keep"
	KindCancel  = "image.cancel"
	KindPrune   = "image.prune"

	KindEvent     = "image.event"
	KindResolve   = "image.resolve"
	KindStore     = "image.store"
	KindSandbox   = "sandbox.open"
	KindUnsandbox = "sandbox.close"
)

// StepGroup is the control group that holds the groups of all build steps of a
// state folder's tag. Whoever finds a builder dead kills and removes it.
func StepGroup(tag string) string { return "/mycompose-" + tag + "/_build" }

// Registries says how registries are reached. It travels with each request,
// since the user's command resolved it; nothing of it is kept.
type Registries struct {
	// Mirrors maps a registry ("docker.io") to URLs that are asked first, in
	// order: "https://host:port", with a path if the mirror has one.
	Mirrors map[string][]string `json:"mirrors,omitempty"`
	// Insecure registries and mirrors, "host:port", are spoken to by TLS with
	// any certificate, else in plain HTTP. Registries on loopback always are.
	Insecure []string `json:"insecure,omitempty"`
	// Auth holds credentials by registry host, from the user's config.json.
	Auth map[string]Credentials `json:"auth,omitempty"`
	// AuthFile is where they are kept, for messages.
	AuthFile string `json:"authFile,omitempty"`
}

// Credentials are a user's at one registry. An empty User means that Secret
// is an identity token.
type Credentials struct {
	User   string `json:"user,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// PullRequest asks for an image from a registry.
type PullRequest struct {
	Job        string     `json:"job"`
	Reference  string     `json:"reference"`          // as the user wrote it
	Platform   string     `json:"platform,omitempty"` // empty: the host's
	Registries Registries `json:"registries,omitzero"`
}

// PushRequest sends an image to the registry of a reference.
type PushRequest struct {
	Job        string     `json:"job"`
	Reference  string     `json:"reference"` // as the user wrote it
	Digest     string     `json:"digest"`    // the record's
	Registries Registries `json:"registries,omitzero"`
}

// Result answers pull, build and import.
type Result struct {
	Record Record `json:"record"`
	// Names are what points at it now: for a pull the normalized reference,
	// for a build its tags.
	Names []Name `json:"names,omitempty"`
}

// ImportRequest takes in a root file system; its tar (plain, gzip or zstd) is
// the file beside the request.
type ImportRequest struct {
	Job       string `json:"job"`
	Reference string `json:"reference"`
	Platform  string `json:"platform,omitempty"`
	// Command is the new image's CMD; the rest of the config is empty.
	Command []string `json:"command,omitempty"`
}

// LoadRequest takes in an archive of docker save or an OCI archive; it is the
// file beside the request, plain or compressed.
type LoadRequest struct {
	Job      string `json:"job"`
	Platform string `json:"platform,omitempty"`
}

// SaveRequest writes images into the file beside the request: an archive that
// is OCI's and docker save's at once.
type SaveRequest struct {
	Job    string  `json:"job"`
	Images []Saved `json:"images"`
}

// Saved is one image of an archive: its record's digest and normalized names.
type Saved struct {
	Digest string   `json:"digest"`
	Names  []string `json:"names,omitempty"`
}

// LoadResult has one Result per image of the archive.
type LoadResult struct {
	Images []Result `json:"images"`
}

// BuildRequest builds an image from a Dockerfile.
type BuildRequest struct {
	Job string `json:"job"`
	// Context is an absolute folder on the host.
	Context string `json:"context"`
	// Dockerfile is absolute or relative to Context; empty: "Dockerfile".
	Dockerfile string `json:"dockerfile,omitempty"`
	// Inline is the text of the Dockerfile itself and replaces the file.
	Inline   string            `json:"inline,omitempty"`
	Args     map[string]string `json:"args,omitempty"`
	Target   string            `json:"target,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Tags     []string          `json:"tags,omitempty"` // as the user wrote them
	Platform string            `json:"platform,omitempty"`
	NoCache  bool              `json:"noCache,omitempty"`
	// Pull asks the registry for every FROM even if it is here.
	Pull bool `json:"pull,omitempty"`
	// Network is "" (the build network), "host", "none" or a network's name.
	Network    string            `json:"network,omitempty"`
	ExtraHosts map[string]string `json:"extraHosts,omitempty"` // name → address
	ShmSize    int64             `json:"shmSize,omitempty"`    // bytes, 0: 64 MiB
	// AdditionalContexts maps names to absolute folders, "docker-image://…",
	// "https://…", or "image:REF": one that is here, which no registry is asked
	// for.
	AdditionalContexts map[string]string      `json:"additionalContexts,omitempty"`
	NoCacheFilter      []string               `json:"noCacheFilter,omitempty"` // stages
	Ulimits            map[string]spec.Ulimit `json:"ulimits,omitempty"`
	CacheFrom          []spec.BuildCache      `json:"cacheFrom,omitempty"`
	CacheTo            []spec.BuildCache      `json:"cacheTo,omitempty"`
	// SSH maps an id to an agent's socket or a key's file, absolute.
	SSH        map[string]string `json:"ssh,omitempty"`
	Secrets    []Secret          `json:"secrets,omitempty"`
	Registries Registries        `json:"registries,omitzero"`
}

// Secret is what RUN --mount=type=secret,id=ID sees. It lives in the builder's
// memory for the time of the build.
type Secret struct {
	ID      string `json:"id"`
	Content []byte `json:"content"`
}

// ReleaseRequest drops the lease of a record: its layers go unless another
// image or the build cache needs them.
type ReleaseRequest struct {
	Digest string `json:"digest"`
}

// KeepRequest names every record the daemon has. Leases of others are dropped:
// they stem from a daemon or builder that died between lease and record.
// The answer says which of the records lost their layers.
type KeepRequest struct {
	Digests []string `json:"digests"`
}

// KeepResult answers KeepRequest.
type KeepResult struct {
	Missing []string `json:"missing,omitempty"`
}

// CancelRequest ends a job; its call is answered with an error.
type CancelRequest struct {
	Job string `json:"job"`
}

// BuildCache is the file below the state folder that is there once something was
// built.
const BuildCache = "builder/buildkit.db"

// PruneRequest throws away build cache that no image needs. All drops what
// was used lately, too.
type PruneRequest struct {
	All bool `json:"all,omitempty"`
}

// PruneResult answers PruneRequest.
type PruneResult struct {
	Bytes int64 `json:"bytes"`
}

// Status is where a vertex or layer stands.
type Status string

const (
	StatusStarted  Status = "started"
	StatusProgress Status = "progress" // Current, Total, or Log
	StatusCached   Status = "cached"   // ended: taken from the cache
	StatusDone     Status = "done"     // ended
	StatusError    Status = "error"    // ended, see Error
)

// Event is progress of a job: of a layer (pull, load, import) or of a build
// step.
type Event struct {
	Job string `json:"job"`
	// Vertex is stable and unique in the job; Name is for people:
	// "[web 2/4] RUN pip install", "a3ed95caeb02".
	Vertex string `json:"vertex"`
	Name   string `json:"name,omitempty"`
	Status Status `json:"status"`
	// Action is what happens to a layer: "Downloading", "Extracting", …
	Action  string    `json:"action,omitempty"`
	Current int64     `json:"current,omitempty"` // bytes
	Total   int64     `json:"total,omitempty"`   // bytes, 0 if unknown
	Log     []byte    `json:"log,omitempty"`     // output of a step
	Stream  int       `json:"stream,omitempty"`  // of Log: 1 stdout, 2 stderr
	Error   string    `json:"error,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// ResolveRequest asks the daemon for the record behind a normalized name.
type ResolveRequest struct {
	Reference string `json:"reference"`
}

// ResolveResult answers it; an empty Digest means there is none.
type ResolveResult struct {
	Digest string `json:"digest,omitempty"`
}

// SandboxRequest asks the daemon for a network namespace for one RUN.
type SandboxRequest struct {
	// ID is unique while the sandbox lives: 64 hex digits.
	ID string `json:"id"`
	// Network is as in BuildRequest. "host" needs no sandbox and is not asked.
	Network string `json:"network,omitempty"`
}

// Sandbox answers SandboxRequest; the descriptor of the namespace is the one
// file beside it. It goes with SandboxClose or with the connection.
type Sandbox struct {
	ID string `json:"id"`
	// ResolvConf is the content of /etc/resolv.conf, Hosts what goes into
	// /etc/hosts below the lines of localhost.
	ResolvConf string `json:"resolvConf"`
	Hosts      string `json:"hosts,omitempty"`
}

// SandboxClose gives a sandbox back.
type SandboxClose struct {
	ID string `json:"id"`
}

// Codes of errors on the wire (wire.RemoteError.Code).
const (
	CodeNotFound = "image-not-found"  // the registry has no such image
	CodeStep     = "build-step"       // a step failed; the text has its last lines
	CodeBuild    = "build"            // a Dockerfile or context is wrong
	CodeCanceled = "canceled"         // by KindCancel
	CodeDigest   = "digest-mismatch"  // content was not what its digest says
	CodePlatform = "no-such-platform" // the image does not exist for ours
	CodeLogin    = "unauthorized"     // a registry wants a login, or another one
	CodeFull     = "no-space"         // the file system of the state folder is full
)
