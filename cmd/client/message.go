package client

import (
	"encoding/json"
	"time"

	"github.com/mycompose/mycompose/cmd/settings"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Base is where our own API begins.
const Base = "/mycompose/v1"

// Protocol is the number of this API. It is additive within a major version;
// it grows when an older side would misread a newer one.
const Protocol = 1

// Headers of every request and answer.
const (
	HeaderBuild    = "Mycompose-Build"
	HeaderProtocol = "Mycompose-Protocol"
	// HeaderBusy of an answer names what keeps the daemon from being replaced;
	// it is absent while the daemon is idle.
	HeaderBusy = "Mycompose-Busy"
	// HeaderInstance of an answer names this life of the daemon: a stream that
	// ended under another one was cut off.
	HeaderInstance = "Mycompose-Instance"
)

// EventsType is the content type of events: JSON, one on a line.
const EventsType = "application/jsonl"

// SocketName is the socket's file in the runtime folder.
const SocketName = "api.sock"

// Kind names what an operation does.
type Kind string

// The kinds of operations, each with the type of its Request.
const (
	Up          Kind = "up"           // UpRequest
	Create      Kind = "create"       // UpRequest
	Down        Kind = "down"         // DownRequest
	Start       Kind = "start"        // StartRequest
	Stop        Kind = "stop"         // StopRequest
	Restart     Kind = "restart"      // RestartRequest
	Kill        Kind = "kill"         // KillRequest
	Remove      Kind = "rm"           // RemoveRequest
	Pause       Kind = "pause"        // PauseRequest
	Unpause     Kind = "unpause"      // PauseRequest
	Run         Kind = "run"          // RunRequest
	Build       Kind = "build"        // BuildRequest
	Pull        Kind = "pull"         // PullRequest
	Push        Kind = "push"         // PushRequest
	ImageImport Kind = "image import" // ImageFileRequest, no project
	ImageLoad   Kind = "image load"   // ImageFileRequest, no project
	ImageSave   Kind = "image save"   // ImageFileRequest, no project
	Watch       Kind = "watch"        // WatchRequest
	Boot        Kind = "boot"         // none; the daemon's own, after a boot
)

// Operation is the body of POST operations, and what the store keeps.
type Operation struct {
	// ID is 32 hex digits chosen by the client.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Project is the name of the project that it writes; "" for images.
	Project string `json:"project,omitempty"`
	// Request is the kind's struct.
	Request json.RawMessage `json:"request"`
	// Input is the project's model; nil means the one that is kept.
	Input *Input `json:"input,omitempty"`
	// Settings are the user's, resolved by the CLI.
	Settings settings.Settings `json:"settings"`
	// Logins maps registries' hosts to "user:password", base64; secret.
	Logins map[string]string `json:"logins,omitempty"`
	// LoginFile is where they are kept, for messages.
	LoginFile string `json:"loginFile,omitempty"`
	// DryRun plans and changes nothing; such an operation takes no lock.
	DryRun bool `json:"dryRun,omitempty"`
	// Parallel bounds how many of its steps work at the same time; zero leaves
	// it to the daemon.
	Parallel int `json:"parallel,omitempty"`
	// CreatedAt is set by the daemon.
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// Input is a project on its way to the daemon: either Fingerprint alone, of
// inputs that the daemon keeps, or everything.
type Input struct {
	// Key names the request (compose/load.Options.Key), Fingerprint the very
	// inputs.
	Key         string `json:"key,omitempty"`
	Fingerprint string `json:"fingerprint"`
	// Inputs is compose/load.Inputs, opaque to the daemon.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	// Model is what model.Encode wrote.
	Model json.RawMessage `json:"model,omitempty"`
	// Contents are the bytes of configs and secrets by digest. The daemon puts
	// them into the engine's store and keeps them nowhere else.
	Contents map[string][]byte `json:"contents,omitempty"`
	// Digests name the contents that the model needs.
	Digests []string `json:"digests,omitempty"`
	// Warnings of the load, to be shown again when it is skipped.
	Warnings []string `json:"warnings,omitempty"`
}

// KeptInput answers GET inputs/KEY.
type KeptInput struct {
	Project     string          `json:"project"`
	Fingerprint string          `json:"fingerprint"`
	Inputs      json.RawMessage `json:"inputs"`
	// Services are the names that the model has, disabled ones included, so
	// that an unknown argument is found without the model.
	Services []string `json:"services,omitempty"`
	// Outline is that of the model.
	Outline *model.Outline `json:"outline,omitempty"`
	// Unattached are those with attach: false.
	Unattached []string `json:"unattached,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// OperationStatus is an operation as it stands.
type OperationStatus struct {
	Operation
	// Last is the sequence number of the newest event.
	Last   int64         `json:"last"`
	Result *event.Result `json:"result,omitempty"`
}

// CancelRequest is the body of POST operations/ID/cancel.
type CancelRequest struct {
	// By says who asks, for the result: "Ctrl-C", "down".
	By string `json:"by"`
}

// Project is one line of `ls`.
type Project struct {
	Name string `json:"name"`
	// States counts containers by state.
	States       map[spec.State]int `json:"states"`
	ComposeFiles []string           `json:"composeFiles,omitempty"`
}

// Condition is the body of POST containers/ID/wait.
type Condition struct {
	Until spec.Condition `json:"until"`
}

// Resize is the body of POST exec/ID/resize and containers/ID/resize.
type Resize struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// Signal is the body of POST exec/ID/signal and containers/ID/signal.
type Signal struct {
	Signal string `json:"signal"` // "SIGTERM", "TERM" or a number
}

// Created answers POST exec.
type Created struct {
	ID string `json:"id"`
}

// Info answers GET info.
type Info struct {
	Version  string    `json:"version"`
	Build    string    `json:"build"`
	StateDir string    `json:"stateDir"`
	RunDir   string    `json:"runDir"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Kernel   string    `json:"kernel"`
	// Features are lines about the kernel and the rights we have:
	// "cgroup" → "v1 (memory, cpu, pids)".
	Features map[string]string `json:"features,omitempty"`
	// Containers counts by state; Operations are those without result.
	Containers map[spec.State]int `json:"containers"`
	Operations []string           `json:"operations,omitempty"`
	// Syncs counts fsync, fdatasync and syncfs of the store since Started.
	Syncs uint64 `json:"syncs"`
	// Goroutines is how many the daemon has.
	Goroutines int `json:"goroutines"`
	// Notices name objects that were damaged and set aside, and those that a
	// newer mycompose wrote and this one leaves alone.
	Notices []string `json:"notices,omitempty"`
}

// SystemStop is the body of POST system/stop.
type SystemStop struct {
	// All stops running containers first, Keep leaves them running; with
	// neither, running containers refuse the stop.
	All  bool `json:"all,omitempty"`
	Keep bool `json:"keep,omitempty"`
}

// SystemStopAnswer says what POST system/stop did.
type SystemStopAnswer struct {
	// Running are names of containers that refuse the stop.
	Running []string `json:"running,omitempty"`
	// Stopped are names of containers that were stopped.
	Stopped []string `json:"stopped,omitempty"`
}

// SystemPruneAnswer says what POST system/prune removed.
type SystemPruneAnswer struct {
	Removed []string `json:"removed,omitempty"` // paths
}

// Failure is the body of every answer with a status of 400 and above.
type Failure struct {
	Error string `json:"error"`
	// Code is a word of engine/spec, or CodeProtocol.
	Code string `json:"code,omitempty"`
}

// CodeProtocol: the daemon speaks another protocol and is busy.
const CodeProtocol = "protocol"
