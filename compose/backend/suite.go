package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mycompose/mycompose/engine/spec"
)

// Subject is a backend under test and what it can run. Its state must be
// empty of the project "suite".
type Subject struct {
	Backend Backend
	// Image is present; Digest is its record.
	Image, Digest string
	// Forever runs until it is stopped, Three ends with code 3.
	Forever, Three []string
	// Good becomes healthy, Bad unhealthy; both in a few seconds at most.
	Good, Bad spec.Health
}

// Case is one obligation of a Backend.
type Case struct {
	Name  string
	Check func(ctx context.Context, s Subject) error
}

// Suite returns what every implementation must do. A test runs each case on a
// subject; a case leaves nothing behind when it succeeds.
func Suite() []Case {
	return []Case{
		{"creating an equal container twice is success", createTwice},
		{"the same name with another blueprint is a conflict", createConflict},
		{"a container of a missing image is refused", createWithoutImage},
		{"the blueprint is listed as it was given", listsAsGiven},
		{"only the containers of the project are listed, by name", listsProject},
		{"starting a running and stopping a stopped container is success", startStopTwice},
		{"removing a missing container, network, volume is success", removeMissing},
		{"a running container is removed only by force", removeRunning},
		{"killing a stopped container says that it does not run", killStopped},
		{"a paused container goes on when it is unpaused, and ends when it is stopped", pauseAndStop},
		{"hooks run in a running container only, and one that fails says so", runHooks},
		{"waiting for the end gives the exit code", waitExited},
		{"waiting for running fails once it has ended", waitRunning},
		{"waiting for healthy tells healthy, unhealthy and no check apart", waitHealthy},
		{"an ended wait returns the context's cause", waitCanceled},
		{"creating an equal network twice is success, another is a conflict", networkTwice},
		{"a network is in use while a running container is on it", networkInUse},
		{"a volume is in use while a container names it", volumeInUse},
		{"a missing image is told by its sentinel", imageMissing},
		{"files are put into a container and taken away, whether it runs or not", syncFiles},
	}
}

func (s Subject) blueprint(name string, command []string) spec.Blueprint {
	return spec.Blueprint{
		Name: "suite-" + name, Project: "suite", Image: s.Image, ImageDigest: s.Digest, Command: command,
		NetworkMode: "none", Labels: map[string]string{"suite": name},
	}
}

// with creates a container, runs the check, and removes the container.
func (s Subject) with(ctx context.Context, b spec.Blueprint, check func(c spec.Container) error) (err error) {
	c, err := s.Backend.CreateContainer(ctx, b)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Backend.RemoveContainer(ctx, c.Blueprint.ID, spec.Remove{Force: true, Volumes: true}))
	}()
	return check(c)
}

// started is with a container that has been started.
func (s Subject) started(ctx context.Context, b spec.Blueprint, check func(id string) error) error {
	return s.with(ctx, b, func(c spec.Container) error {
		if err := s.Backend.StartContainer(ctx, c.Blueprint.ID); err != nil {
			return err
		}
		return check(c.Blueprint.ID)
	})
}

func wants(what string, err, sentinel error) error {
	if errors.Is(err, sentinel) {
		return nil
	}
	return fmt.Errorf("%s: got error %v, want %v", what, err, sentinel)
}

func createTwice(ctx context.Context, s Subject) error {
	b := s.blueprint("twice", s.Forever)
	return s.with(ctx, b, func(c spec.Container) error {
		again, err := s.Backend.CreateContainer(ctx, b)
		if err != nil {
			return err
		}
		if again.Blueprint.ID != c.Blueprint.ID || len(c.Blueprint.ID) != 64 {
			return fmt.Errorf("ids %q and %q", c.Blueprint.ID, again.Blueprint.ID)
		}
		return nil
	})
}

func createConflict(ctx context.Context, s Subject) error {
	return s.with(ctx, s.blueprint("conflict", s.Forever), func(spec.Container) error {
		_, err := s.Backend.CreateContainer(ctx, s.blueprint("conflict", s.Three))
		return wants("create with another command", err, spec.ErrConflict)
	})
}

func createWithoutImage(ctx context.Context, s Subject) error {
	b := s.blueprint("imageless", s.Forever)
	b.Image, b.ImageDigest = "suite-nothing:1", "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	_, err := s.Backend.CreateContainer(ctx, b)
	return wants("create", err, spec.ErrImageMissing)
}

func listsAsGiven(ctx context.Context, s Subject) error {
	b := s.blueprint("given", s.Forever)
	b.Environment = map[string]string{"A": "1"}
	return s.with(ctx, b, func(c spec.Container) error {
		list, err := s.Backend.Containers(ctx, "suite")
		if err != nil {
			return err
		}
		b.ID = c.Blueprint.ID
		if len(list) != 1 || !equal(list[0].Blueprint, b) {
			return fmt.Errorf("listed %+v, want %+v", list, b)
		}
		if list[0].Status.State != spec.StateCreated || list[0].Status.CreatedAt.IsZero() {
			return fmt.Errorf("status %+v", list[0].Status)
		}
		return nil
	})
}

func listsProject(ctx context.Context, s Subject) error {
	other := s.blueprint("other", s.Forever)
	other.Project = "suite2"
	return s.with(ctx, other, func(spec.Container) error {
		return s.with(ctx, s.blueprint("b", s.Forever), func(spec.Container) error {
			return s.with(ctx, s.blueprint("a", s.Forever), func(spec.Container) error {
				list, err := s.Backend.Containers(ctx, "suite")
				if err != nil {
					return err
				}
				if len(list) != 2 || list[0].Blueprint.Name != "suite-a" || list[1].Blueprint.Name != "suite-b" {
					return fmt.Errorf("listed %+v", list)
				}
				return nil
			})
		})
	})
}

func networkTwice(ctx context.Context, s Subject) (err error) {
	n := spec.Network{Name: "suite_twice", Project: "suite", Labels: map[string]string{"a": "b"}}
	defer func() { err = errors.Join(err, s.Backend.RemoveNetwork(ctx, n.Name)) }()
	for range 2 {
		if _, err := s.Backend.CreateNetwork(ctx, n); err != nil {
			return err
		}
	}
	other := n
	other.Internal = true
	_, err = s.Backend.CreateNetwork(ctx, other)
	return wants("create", err, spec.ErrConflict)
}

func networkInUse(ctx context.Context, s Subject) error {
	n := spec.Network{Name: "suite_used", Project: "suite"}
	if _, err := s.Backend.CreateNetwork(ctx, n); err != nil {
		return err
	}
	b := s.blueprint("attached", s.Forever)
	b.NetworkMode, b.Networks = "bridge", []spec.Attachment{{Network: n.Name, LeaseKey: b.Name}}
	return s.started(ctx, b, func(id string) error {
		if err := wants("remove", s.Backend.RemoveNetwork(ctx, n.Name), spec.ErrInUse); err != nil {
			return err
		}
		if err := s.Backend.StopContainer(ctx, id, spec.Stop{}); err != nil {
			return err
		}
		return s.Backend.RemoveNetwork(ctx, n.Name)
	})
}

func volumeInUse(ctx context.Context, s Subject) error {
	v := spec.Volume{Name: "suite_used", Project: "suite"}
	if _, err := s.Backend.CreateVolume(ctx, v); err != nil {
		return err
	}
	if _, err := s.Backend.CreateVolume(ctx, v); err != nil {
		return fmt.Errorf("second create: %w", err)
	}
	b := s.blueprint("mounted", s.Forever)
	b.Mounts = []spec.Mount{{Type: spec.MountVolume, Source: v.Name, Target: "/data"}}
	err := s.with(ctx, b, func(spec.Container) error {
		return wants("remove", s.Backend.RemoveVolume(ctx, v.Name), spec.ErrInUse)
	})
	return errors.Join(err, s.Backend.RemoveVolume(ctx, v.Name))
}

func imageMissing(ctx context.Context, s Subject) error {
	_, err := s.Backend.Image(ctx, "suite-nothing:1")
	if err := wants("image", err, spec.ErrImageMissing); err != nil {
		return err
	}
	image, err := s.Backend.Image(ctx, s.Image)
	if err != nil || image.Digest != s.Digest {
		return fmt.Errorf("digest %s, error %w, want %s", image.Digest, err, s.Digest)
	}
	return nil
}

func syncFiles(ctx context.Context, s Subject) error {
	dir, err := os.MkdirTemp("", "suite")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("content"), 0o644); err != nil {
		return err
	}
	put := spec.FileChange{Target: "/srv/f", Root: dir, Path: "f"}
	same, remove, gone := put, spec.FileChange{Target: "/srv/f", Remove: true}, put
	same.Compare, gone.Path = true, "nothing"
	changes := []spec.FileChange{put, same, gone, remove, remove}
	want := []spec.FileResult{{Changed: true}, {}, {Gone: true}, {Changed: true}, {}}
	check := func(id string) error {
		got, err := s.Backend.SyncFiles(ctx, id, changes)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("results %+v, want %+v", got, want)
		}
		return err
	}
	if _, err := s.Backend.SyncFiles(ctx, "nothing", changes); wants("sync", err, spec.ErrNotFound) != nil {
		return err
	}
	return errors.Join(
		s.with(ctx, s.blueprint("idle", s.Forever), func(c spec.Container) error { return check(c.Blueprint.ID) }),
		s.started(ctx, s.blueprint("synced", s.Forever), check),
	)
}
