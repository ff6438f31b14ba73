// Package backend is what a plan is applied to, as a handful of small
// interfaces: the in-memory Fake of this package, the engine, later a
// cluster. Plain data goes in and out (engine/spec): no pid, no descriptor,
// no path inside the engine's own folders.
//
// Idempotence is the contract: create of an equal thing is success, remove of
// a missing thing is success, start of a running and stop of a stopped
// container are success. Suite holds it against every implementation.
package backend

import (
	"context"

	"github.com/mycompose/mycompose/engine/spec"
)

// Containers makes, runs and removes containers.
type Containers interface {
	// Containers lists those of a project ("" is all), sorted by name.
	Containers(ctx context.Context, project string) ([]spec.Container, error)
	// CreateContainer makes a container without starting it. Its networks,
	// named volumes, image record and the owner of a shared namespace, by id or
	// by name, must exist. What Containers lists later has the blueprint as it was given
	// (and the ID), whatever the image adds at the start. An existing
	// one with an equal blueprint is success; the same name with another
	// blueprint is spec.ErrConflict.
	CreateContainer(ctx context.Context, b spec.Blueprint) (spec.Container, error)
	StartContainer(ctx context.Context, id string) error
	// StopContainer ends it and lets its restart policy rest; success for
	// one that has ended or was never started.
	StopContainer(ctx context.Context, id string, how spec.Stop) error
	KillContainer(ctx context.Context, id, signal string) error
	// PauseContainer freezes a running container, UnpauseContainer lets it
	// go on; done already is success, and spec.ErrNotRunning one that does
	// not run. A stop ends a paused one too.
	PauseContainer(ctx context.Context, id string) error
	UnpauseContainer(ctx context.Context, id string) error
	// RunHooks runs the blueprint's hooks of a moment in a running container,
	// one after the other, and returns when they have ended. The error of one
	// that fails says how; the rest is not run. One that does not run is
	// spec.ErrNotRunning. When ctx ends, the hook that runs is killed. Once
	// all after a start have succeeded the status has no HooksDue any more.
	RunHooks(ctx context.Context, id string, when spec.Moment) error
	// RemoveContainer fails with spec.ErrInUse if the container runs and
	// how.Force is not set.
	RemoveContainer(ctx context.Context, id string, how spec.Remove) error
	// WaitContainer returns the status once the condition holds. It fails
	// with spec.ErrUnhealthy, spec.ErrNoHealth or spec.ErrNotRunning when
	// it cannot hold any more; the status comes along then too.
	WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error)
}

// Files changes the files of containers, running or not.
type Files interface {
	// SyncFiles applies changes in order, with one result for each. What is
	// wrong with one leaves the others alone.
	SyncFiles(ctx context.Context, id string, changes []spec.FileChange) ([]spec.FileResult, error)
}

// Networks makes and removes networks.
type Networks interface {
	Networks(ctx context.Context) ([]spec.Network, error)
	CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error)
	// RemoveNetwork fails with spec.ErrInUse while containers that run are
	// attached; stopped ones take the new network of that name at their
	// next start.
	RemoveNetwork(ctx context.Context, name string) error
}

// Volumes makes and removes volumes.
type Volumes interface {
	Volumes(ctx context.Context) ([]spec.Volume, error)
	CreateVolume(ctx context.Context, v spec.Volume) (spec.Volume, error)
	// RemoveVolume fails with spec.ErrInUse while a container names it.
	RemoveVolume(ctx context.Context, name string) error
}

// Images finds, pulls, pushes and builds images.
type Images interface {
	// Images lists all, those without a name included.
	Images(ctx context.Context) ([]spec.Image, error)
	// Image finds a local image by reference or digest, spec.ErrImageMissing.
	Image(ctx context.Context, reference string) (spec.Image, error)
	PullImage(ctx context.Context, p spec.Pull, progress func(spec.Progress)) (spec.Image, error)
	// PushImage sends a local image to the registry of its name.
	PushImage(ctx context.Context, p spec.Push, progress func(spec.Progress)) error
	BuildImage(ctx context.Context, b spec.Build, progress func(spec.Progress)) (spec.Image, error)
	RemoveImage(ctx context.Context, reference string) error
}

// Checker says before the first write what it cannot do as written.
type Checker interface {
	// Check returns one error per thing of the blueprints and networks that
	// cannot be done here: an unsupported option, a taken host port (named
	// with its owner), a missing bind source. except lists ids of
	// containers whose ports will be free by then. The image digest of a
	// blueprint may be empty, its network mode "container:NAME": what they
	// name is not there yet.
	Check(ctx context.Context, blueprints []spec.Blueprint, networks []spec.Network, except []string) []error
	// Changeable returns one error for each that may not be changed here: one
	// that a newer version made, for one.
	Changeable(ctx context.Context, t spec.Touched) []error
}

// Backend is everything that apply and observe need.
type Backend interface {
	Containers
	Files
	Networks
	Volumes
	Images
	Checker
}
