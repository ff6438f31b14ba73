package plan

import (
	"github.com/mycompose/mycompose/engine/spec"
)

// Kind says what a step does.
type Kind string

// The kinds of steps.
const (
	PullImage       Kind = "pull image"
	BuildImage      Kind = "build image"
	PushImage       Kind = "push image"
	RemoveImage     Kind = "remove image"
	CreateNetwork   Kind = "create network"
	RemoveNetwork   Kind = "remove network"
	CreateVolume    Kind = "create volume"
	RemoveVolume    Kind = "remove volume"
	CreateContainer Kind = "create container"
	StartContainer  Kind = "start container"
	StopContainer   Kind = "stop container"
	// PostStart and PreStop run the hooks of a container.
	PostStart        Kind = "run post_start of"
	PreStop          Kind = "run pre_stop of"
	KillContainer    Kind = "kill container"
	RemoveContainer  Kind = "remove container"
	PauseContainer   Kind = "pause container"
	UnpauseContainer Kind = "unpause container"
	// WaitContainer waits for Until because a dependant needs it.
	WaitContainer Kind = "wait for container"
	// ReadyContainer waits until the container is healthy, or runs if it has
	// no check, or has ended with 0 and may (up --wait).
	ReadyContainer Kind = "wait until ready"
	// Gate stands for the containers of a pending service.
	Gate Kind = "containers of service"
)

// Step is one thing to do.
type Step struct {
	// ID is unique in the plan: "start shop-web-1".
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Target is the name of what is changed: "shop-web-1", "shop_default".
	Target string `json:"target"`
	// Service and Number are for containers; Number is 0 for one-offs.
	Service string `json:"service,omitempty"`
	Number  int    `json:"number,omitempty"`
	// Cause says why, in a user's words.
	Cause string `json:"cause,omitempty"`
	// Reasons are what Cause joins, one for each difference, for a step that
	// makes a container anew.
	Reasons []string `json:"reasons,omitempty"`
	// After are the ids of the steps that must have ended.
	After []string `json:"after,omitempty"`

	// Begin and End are docker compose's words for the progress line; empty
	// ones are not shown. Details follow End.
	Begin   string `json:"-"`
	End     string `json:"-"`
	Details string `json:"-"`

	// Container is the id of one that exists; empty if a step of this plan
	// creates it, then Target finds it.
	Container string `json:"-"`
	// What follows belongs to the kind. The network mode of a Blueprint is
	// "container:NAME" where it shares another's namespace.
	Blueprint *spec.Blueprint `json:"-"`
	Network   *spec.Network   `json:"-"`
	Volume    *spec.Volume    `json:"-"`
	// Pull without Registries. A pull that fails falls back to Build if set.
	Pull   *spec.Pull     `json:"-"`
	Build  *spec.Build    `json:"-"`
	Push   *spec.Push     `json:"-"` // without Registries; nil only says so
	Stop   spec.Stop      `json:"-"`
	Remove spec.Remove    `json:"-"`
	Signal string         `json:"-"`
	Until  spec.Condition `json:"until,omitempty"`
	// Optional failures of a wait, a pull, a push or a removal are told and go on.
	Optional bool `json:"optional,omitempty"`
}

// The ids of steps.
func pullID(reference string) string  { return "pull " + reference }
func buildID(reference string) string { return "build " + reference }
func pushID(reference string) string  { return "push " + reference }
func networkID(name string) string    { return "create network " + name }
func unnetworkID(name string) string  { return "remove network " + name }
func volumeID(name string) string     { return "create volume " + name }
func unvolumeID(name string) string   { return "remove volume " + name }
func createID(name string) string     { return "create " + name }
func startID(name string) string      { return "start " + name }
func stopID(name string) string       { return "stop " + name }
func killID(name string) string       { return "kill " + name }
func pauseID(name string) string      { return "pause " + name }
func unpauseID(name string) string    { return "unpause " + name }
func removeID(name string) string     { return "remove " + name }
func readyID(name string) string      { return "ready " + name }
func gateID(service string) string    { return "containers of " + service }

func waitID(name string, until spec.Condition, optional bool) string {
	id := "wait " + string(until) + " " + name
	if optional {
		id += " (optional)"
	}
	return id
}
