package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Containers lists those of a project, by name.
func (f *Fake) Containers(_ context.Context, project string) ([]spec.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []spec.Container
	for _, c := range f.containers {
		if project == "" || c.Blueprint.Project == project {
			out = append(out, *c)
		}
	}
	slices.SortFunc(out, func(a, b spec.Container) int { return strings.Compare(a.Blueprint.Name, b.Blueprint.Name) })
	return out, nil
}

// CreateContainer makes a container.
func (f *Fake) CreateContainer(ctx context.Context, b spec.Blueprint) (spec.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.byNameLocked(b.Name); c != nil {
		if b.ID == "" {
			b.ID = c.Blueprint.ID
		}
		if !equal(c.Blueprint, b) {
			return spec.Container{}, spec.Errorf(spec.ErrConflict, "cannot create container %s: the name is taken", b.Name)
		}
		return *c, nil
	}
	image, err := f.neededLocked(b)
	if err != nil {
		return spec.Container{}, fmt.Errorf("cannot create container %s: %w", b.Name, err)
	}
	if err := f.beginLocked(ctx, "create", b.Name); err != nil {
		return spec.Container{}, err
	}
	if b.ID == "" {
		b.ID = f.hexLocked("container")
	}
	c := &spec.Container{Blueprint: b, Status: spec.Status{
		State: spec.StateCreated, CreatedAt: f.nowLocked(), Volumes: f.fillLocked(b, image),
		Command: slices.Concat(b.Entrypoint, commandOf(b, image)),
	}}
	f.containers[b.ID] = c
	return *c, nil
}

// neededLocked checks that all is there that a blueprint needs.
func (f *Fake) neededLocked(b spec.Blueprint) (spec.Image, error) {
	for _, at := range b.Networks {
		if _, ok := f.networks[at.Network]; !ok {
			return spec.Image{}, spec.Errorf(spec.ErrNotFound, "network %s not found", at.Network)
		}
	}
	for _, m := range b.Mounts {
		if _, ok := f.volumes[m.Source]; !ok && m.Type == spec.MountVolume && m.Source != "" {
			return spec.Image{}, spec.Errorf(spec.ErrNotFound, "volume %s not found", m.Source)
		}
	}
	for _, owner := range b.NamespaceOwners() {
		if f.findLocked(owner) == nil {
			return spec.Image{}, spec.Errorf(spec.ErrNotFound, "container %s, whose namespace it shares, not found", owner)
		}
	}
	for _, image := range f.images {
		if image.Digest == b.ImageDigest {
			return image, nil
		}
	}
	for _, c := range f.containers { // a record lives as long as a container names it
		if c.Blueprint.ImageDigest == b.ImageDigest && b.ImageDigest != "" {
			return spec.Image{Digest: b.ImageDigest}, nil
		}
	}
	return spec.Image{}, spec.Errorf(spec.ErrImageMissing, "No such image: %s (%s)", b.Image, b.ImageDigest)
}

// findLocked finds a container by id or by name, or nil.
func (f *Fake) findLocked(word string) *spec.Container {
	for id, c := range f.containers {
		if id == word || c.Blueprint.Name == word {
			return c
		}
	}
	return nil
}

// fillLocked makes the anonymous volumes and returns all by target.
func (f *Fake) fillLocked(b spec.Blueprint, image spec.Image) map[string]string {
	out := map[string]string{}
	anonymous := slices.Clone(image.Config.Volumes)
	for _, m := range b.Mounts {
		anonymous = slices.DeleteFunc(anonymous, func(target string) bool { return target == m.Target })
		switch {
		case m.Type == spec.MountVolume && m.Source == "":
			anonymous = append(anonymous, m.Target)
		case m.Type == spec.MountVolume:
			out[m.Target] = m.Source
		}
	}
	for _, target := range anonymous {
		name := f.hexLocked("volume")
		f.volumes[name] = spec.Volume{Name: name, Project: b.Project, Anonymous: true, CreatedAt: f.nowLocked()}
		out[target] = name
	}
	return out
}

func commandOf(b spec.Blueprint, image spec.Image) []string {
	if b.Command == nil && b.Entrypoint == nil {
		return image.Config.Cmd
	}
	return b.Command
}

// StartContainer runs what the command says.
func (f *Fake) StartContainer(ctx context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return spec.Errorf(spec.ErrNotFound, "cannot start container %s: not found", id)
	}
	if c.Status.Up() {
		return nil
	}
	if err := f.startableLocked(c); err != nil {
		return fmt.Errorf("cannot start container %s: %w", c.Blueprint.Name, err)
	}
	if err := f.beginLocked(ctx, "start", c.Blueprint.Name); err != nil {
		return err
	}
	command := c.Status.Command
	if len(command) > 0 && command[0] == "missing" {
		return spec.Errorf(spec.ErrCommand, "cannot start container %s: exec: %q: executable file not found in $PATH", c.Blueprint.Name, command[0])
	}
	c.Status.State, c.Status.StartedAt, c.Status.StoppedByUser = spec.StateRunning, f.nowLocked(), false
	c.Status.Ports, c.Status.HooksDue = c.Blueprint.Ports, len(c.Blueprint.PostStart) > 0
	c.Status.Health = f.probeLocked(c)
	if len(command) == 2 && command[0] == "exit" {
		if code, err := strconv.Atoi(command[1]); err == nil {
			f.exitLocked(c, code)
		}
	}
	return nil
}

func (f *Fake) startableLocked(c *spec.Container) error {
	for _, at := range c.Blueprint.Networks {
		if _, ok := f.networks[at.Network]; !ok {
			return spec.Errorf(spec.ErrNotFound, "network %s not found", at.Network)
		}
	}
	for _, owner := range c.Blueprint.NamespaceOwners() {
		if o := f.findLocked(owner); o == nil || o.Status.State != spec.StateRunning {
			return spec.Errorf(spec.ErrNotRunning, "container %s, whose namespace it shares, does not run", owner)
		}
	}
	return f.portsLocked(c.Blueprint, nil)
}

// portsLocked finds a fixed host port that a running container holds.
func (f *Fake) portsLocked(b spec.Blueprint, except []string) error {
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		c := f.containers[id]
		if !c.Status.Up() || id == b.ID || slices.Contains(except, id) {
			continue
		}
		for _, held := range c.Blueprint.Ports {
			for _, p := range b.Ports {
				if p.HostPort != 0 && p.HostPort == held.HostPort && p.Protocol == held.Protocol && p.HostPortEnd <= p.HostPort {
					return spec.Errorf(spec.ErrPortTaken, "port %d/%s is taken by container %s", p.HostPort, p.Protocol, c.Blueprint.Name)
				}
			}
		}
	}
	return nil
}

func (f *Fake) healthLocked(c *spec.Container) *spec.Health {
	if c.Blueprint.Health != nil {
		return c.Blueprint.Health
	}
	for _, image := range f.images {
		if image.Digest == c.Blueprint.ImageDigest {
			return image.Config.Health
		}
	}
	return nil
}

func (f *Fake) probeLocked(c *spec.Container) spec.HealthState {
	h := f.healthLocked(c)
	if h == nil || h.Disable || len(h.Test) == 0 {
		return spec.HealthNone
	}
	switch h.Test[len(h.Test)-1] {
	case "false":
		return spec.HealthUnhealthy
	case "pending":
		return spec.HealthStarting
	}
	return spec.HealthHealthy
}

// exitLocked ends a container from inside; its policy decides what is next.
func (f *Fake) exitLocked(c *spec.Container, code int) {
	c.Status.State, c.Status.ExitCode, c.Status.ExitedAt = spec.StateExited, code, f.nowLocked()
	c.Status.Health, c.Status.Ports = "", nil
	switch r := c.Blueprint.Restart; r.Policy {
	case spec.RestartAlways, spec.RestartUnlessStopped:
		c.Status.State = spec.StateRestarting
	case spec.RestartOnFailure:
		if code != 0 && (r.MaxAttempts == 0 || c.Status.Restarts < r.MaxAttempts) {
			c.Status.State = spec.StateRestarting
		}
	}
}

// StopContainer ends a container.
func (f *Fake) StopContainer(ctx context.Context, id string, _ spec.Stop) error {
	return f.end(ctx, id, "stop", 143)
}

// KillContainer sends a signal; every signal ends a program of the Fake.
func (f *Fake) KillContainer(ctx context.Context, id, _ string) error {
	return f.end(ctx, id, "kill", 137)
}

// PauseContainer freezes a running container.
func (f *Fake) PauseContainer(_ context.Context, id string) error {
	return f.freeze(id, spec.StateRunning, spec.StatePaused)
}

// UnpauseContainer lets a paused container go on.
func (f *Fake) UnpauseContainer(_ context.Context, id string) error {
	return f.freeze(id, spec.StatePaused, spec.StateRunning)
}

func (f *Fake) freeze(id string, from, to spec.State) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	switch {
	case c == nil:
		return spec.Errorf(spec.ErrNotFound, "cannot find container %s: not found", id)
	case c.Status.State != from && c.Status.State != to:
		return spec.Errorf(spec.ErrNotRunning, "container %s does not run", c.Blueprint.Name)
	}
	c.Status.State = to
	return nil
}

func (f *Fake) end(ctx context.Context, id, operation string, code int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	switch {
	case c == nil:
		return spec.Errorf(spec.ErrNotFound, "cannot %s container %s: not found", operation, id)
	case !c.Status.Up() && operation == "kill":
		return spec.Errorf(spec.ErrNotRunning, "cannot kill container %s: it does not run", c.Blueprint.Name)
	case !c.Status.Up():
		return nil
	}
	if err := f.beginLocked(ctx, operation, c.Blueprint.Name); err != nil {
		return err
	}
	c.Status.State, c.Status.ExitCode, c.Status.ExitedAt = spec.StateExited, code, f.nowLocked()
	c.Status.StoppedByUser, c.Status.Health, c.Status.Ports = true, "", nil
	return nil
}

// RunHooks does what their words say; one that is "exit N" fails unless N is 0.
func (f *Fake) RunHooks(ctx context.Context, id string, when spec.Moment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	switch {
	case c == nil:
		return spec.Errorf(spec.ErrNotFound, "cannot find container %s: not found", id)
	case c.Status.State != spec.StateRunning:
		return spec.Errorf(spec.ErrNotRunning, "container %s does not run", c.Blueprint.Name)
	}
	for _, h := range c.Blueprint.Hooks(when) {
		if err := f.beginLocked(ctx, string(when), c.Blueprint.Name); err != nil {
			return err
		}
		if len(h.Args) == 2 && h.Args[0] == "exit" && h.Args[1] != "0" {
			return fmt.Errorf("%s hook of %s exited with status %s", when, c.Blueprint.Name, h.Args[1])
		}
	}
	if when == spec.PostStart {
		c.Status.HooksDue = false
	}
	return nil
}

// RemoveContainer removes a container.
func (f *Fake) RemoveContainer(ctx context.Context, id string, how spec.Remove) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return nil
	}
	if c.Status.Up() && !how.Force {
		return spec.Errorf(spec.ErrInUse, "cannot remove container %s: it runs", c.Blueprint.Name)
	}
	if err := f.beginLocked(ctx, "remove", c.Blueprint.Name); err != nil {
		return err
	}
	delete(f.containers, id)
	for _, name := range c.Status.Volumes {
		if how.Volumes && f.volumes[name].Anonymous {
			delete(f.volumes, name)
		}
	}
	return nil
}

// WaitContainer waits until a condition holds or cannot hold any more.
func (f *Fake) WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error) {
	for {
		f.mu.Lock()
		c := f.containers[id]
		if c == nil {
			f.mu.Unlock()
			return spec.Status{}, spec.Errorf(spec.ErrNotFound, "cannot wait for container %s: not found", id)
		}
		status, changed := c.Status, f.changed
		done, err := f.holdsLocked(c, until)
		f.mu.Unlock()
		if done || err != nil {
			return status, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status, fmt.Errorf("cannot wait for container %s: %w", id, context.Cause(ctx))
		}
	}
}

func (f *Fake) holdsLocked(c *spec.Container, until spec.Condition) (bool, error) {
	name, state := c.Blueprint.Name, c.Status.State
	if until == spec.UntilExited {
		return state == spec.StateExited, nil
	}
	if state == spec.StateExited {
		return false, spec.Errorf(spec.ErrNotRunning, "container %s exited (%d)", name, c.Status.ExitCode)
	}
	if until == spec.UntilRunning {
		return state == spec.StateRunning, nil
	}
	if h := f.healthLocked(c); h == nil || h.Disable || len(h.Test) == 0 {
		return false, spec.Errorf(spec.ErrNoHealth, "container %s has no healthcheck configured", name)
	}
	if c.Status.Health == spec.HealthUnhealthy {
		return false, spec.Errorf(spec.ErrUnhealthy, "container %s is unhealthy", name)
	}
	return c.Status.Health == spec.HealthHealthy, nil
}

// Check finds taken ports.
func (f *Fake) Check(_ context.Context, blueprints []spec.Blueprint, _ []spec.Network, except []string) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []error
	for _, b := range blueprints {
		if err := f.portsLocked(b, except); err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Changeable refuses nothing.
func (f *Fake) Changeable(context.Context, spec.Touched) []error { return nil }

// equal compares plain data by its JSON form.
func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
