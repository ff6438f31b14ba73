package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// Fake is a Backend in memory, for tests of everything above it. Its clock
// counts a second per change. Its programs are words:
//
//	command [exit N]      ends at once with code N
//	command [missing]     cannot be executed (spec.ErrCommand)
//	any other             runs until it is stopped
//	hook exit N           fails unless N is 0; others succeed
//	health test […, false] unhealthy · […, pending] starting for ever · other: healthy
//
// It is safe for concurrent use.
type Fake struct {
	// Fail, if set, is asked before each change and may refuse it: the seam
	// for faults. It must not call the Fake.
	Fail func(Call) error

	mu         sync.Mutex
	calls      []Call
	changed    chan struct{}
	ticks      int
	made       int
	containers map[string]*spec.Container
	networks   map[string]spec.Network
	volumes    map[string]spec.Volume
	images     map[string]spec.Image // by reference
	registry   map[string]spec.Image
	sources    map[string]int               // build context: edits
	files      map[string]map[string]string // by container, then target
}

// Call is one change that was asked for: "create", "start", "stop", "kill",
// "remove", "post_start", "pre_stop" of a container by name, "create network", "remove network", "create
// volume", "remove volume", "pull", "push", "build", "remove image".
type Call struct {
	Operation string
	Target    string
}

var _ Backend = (*Fake)(nil)

// NewFake returns an empty Fake.
func NewFake() *Fake {
	return &Fake{
		changed:    make(chan struct{}),
		containers: map[string]*spec.Container{}, networks: map[string]spec.Network{},
		volumes: map[string]spec.Volume{}, images: map[string]spec.Image{},
		registry: map[string]spec.Image{}, sources: map[string]int{},
	}
}

// Now returns the time of the next change.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nowLocked().Add(time.Second)
}

func (f *Fake) nowLocked() time.Time {
	return time.Date(2026, 1, 1, 0, 0, f.ticks, 0, time.UTC)
}

// Calls returns the changes that were asked for so far.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// AddImage puts an image into the local store. Its command is a shell unless
// the configuration says something; an empty one that is not nil says "none".
func (f *Fake) AddImage(reference string, config spec.ImageConfig) spec.Image {
	return f.put(f.images, reference, config)
}

// Publish puts an image into the registry that Pull asks.
func (f *Fake) Publish(reference string, config spec.ImageConfig) spec.Image {
	return f.put(f.registry, reference, config)
}

// shell is the command of images that say nothing else.
func shell() []string { return []string{"sh"} }

func (f *Fake) put(into map[string]spec.Image, reference string, config spec.ImageConfig) spec.Image {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticks++
	if config.Cmd == nil && config.Entrypoint == nil {
		config.Cmd = shell()
	}
	image := spec.Image{Digest: "sha256:" + f.hexLocked("image "+reference), Names: []string{reference}, Config: config, CreatedAt: f.nowLocked()}
	into[reference] = image
	return image
}

// Edit changes the files below a build context: the next build of it gives
// another image.
func (f *Fake) Edit(context string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sources[context]++
}

// Exit ends a running container from inside.
func (f *Fake) Exit(name string, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.byNameLocked(name); c != nil && c.Status.State == spec.StateRunning {
		f.exitLocked(c, code)
	}
	f.tickLocked()
}

// SetHealth lets a container's next probe find something.
func (f *Fake) SetHealth(name string, health spec.HealthState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.byNameLocked(name); c != nil {
		c.Status.Health = health
	}
	f.tickLocked()
}

// Reboot ends everything, as if the machine had lost its power.
func (f *Fake) Reboot() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.Status.Up() {
			c.Status.State, c.Status.ExitCode, c.Status.Health = spec.StateExited, 137, ""
		}
	}
	f.tickLocked()
}

// hexLocked returns 64 hex digits that differ each time.
func (f *Fake) hexLocked(what string) string {
	f.made++
	sum := sha256.Sum256([]byte(what + " " + strconv.Itoa(f.made)))
	return hex.EncodeToString(sum[:])
}

// tickLocked lets time pass and wakes those who wait.
func (f *Fake) tickLocked() {
	f.ticks++
	close(f.changed)
	f.changed = make(chan struct{})
}

// beginLocked notes a call and asks Fail.
func (f *Fake) beginLocked(ctx context.Context, operation, target string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot %s %s: %w", operation, target, context.Cause(ctx))
	}
	call := Call{operation, target}
	if f.Fail != nil {
		if err := f.Fail(call); err != nil {
			return err
		}
	}
	f.calls = append(f.calls, call)
	f.tickLocked()
	return nil
}

func (f *Fake) byNameLocked(name string) *spec.Container {
	for _, c := range f.containers {
		if c.Blueprint.Name == name {
			return c
		}
	}
	return nil
}

// Networks lists networks by name.
func (f *Fake) Networks(context.Context) ([]spec.Network, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []spec.Network
	for _, name := range slices.Sorted(maps.Keys(f.networks)) {
		n := f.networks[name]
		n.Containers = f.attachedLocked(name)
		out = append(out, n)
	}
	return out, nil
}

func (f *Fake) attachedLocked(network string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		c := f.containers[id]
		for _, at := range c.Blueprint.Networks {
			if at.Network == network && c.Status.Up() {
				out = append(out, id)
			}
		}
	}
	return out
}

// CreateNetwork makes a network.
func (f *Fake) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if have, ok := f.networks[n.Name]; ok {
		created := have.CreatedAt
		have.CreatedAt, n.CreatedAt = time.Time{}, time.Time{}
		if !equal(have, n) {
			return spec.Network{}, spec.Errorf(spec.ErrConflict, "cannot create network %s: it exists and differs", n.Name)
		}
		n.CreatedAt = created
		return n, nil
	}
	if err := f.beginLocked(ctx, "create network", n.Name); err != nil {
		return spec.Network{}, err
	}
	n.CreatedAt = f.nowLocked()
	f.networks[n.Name] = n
	return n, nil
}

// RemoveNetwork removes a network.
func (f *Fake) RemoveNetwork(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.networks[name]; !ok {
		return nil
	}
	if users := f.attachedLocked(name); len(users) > 0 {
		return spec.Errorf(spec.ErrInUse, "cannot remove network %s: %d containers are attached", name, len(users))
	}
	if err := f.beginLocked(ctx, "remove network", name); err != nil {
		return err
	}
	delete(f.networks, name)
	return nil
}

// Volumes lists volumes by name.
func (f *Fake) Volumes(context.Context) ([]spec.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []spec.Volume
	for _, name := range slices.Sorted(maps.Keys(f.volumes)) {
		out = append(out, f.volumes[name])
	}
	return out, nil
}

// CreateVolume makes a volume; one of that name that exists is success.
func (f *Fake) CreateVolume(ctx context.Context, v spec.Volume) (spec.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if have, ok := f.volumes[v.Name]; ok {
		return have, nil
	}
	if err := f.beginLocked(ctx, "create volume", v.Name); err != nil {
		return spec.Volume{}, err
	}
	v.CreatedAt = f.nowLocked()
	f.volumes[v.Name] = v
	return v, nil
}

// RemoveVolume removes a volume.
func (f *Fake) RemoveVolume(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.volumes[name]; !ok {
		return nil
	}
	for _, c := range f.containers {
		for _, used := range c.Status.Volumes {
			if used == name {
				return spec.Errorf(spec.ErrInUse, "cannot remove volume %s: container %s uses it", name, c.Blueprint.Name)
			}
		}
	}
	if err := f.beginLocked(ctx, "remove volume", name); err != nil {
		return err
	}
	delete(f.volumes, name)
	return nil
}
