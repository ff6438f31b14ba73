package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// StartContainer starts a container; one that runs is success. One that is
// being stopped is started once it has ended.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	l, err := e.life(id)
	if err != nil {
		return err
	}
	for {
		done, err := e.tryStart(ctx, l)
		if done || err != nil {
			return err
		}
		if _, err := l.await(ctx, func(c condition) bool { return !c.Status.Up() }); err != nil {
			return fmt.Errorf("cannot start %s: %w", l.name(), err)
		}
	}
}

// tryStart reports done unless the container's end must be waited for.
func (e *Engine) tryStart(ctx context.Context, l *life) (done bool, err error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, removed := l.look()
	switch {
	case removed:
		return true, spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	case c.Status.State == spec.StatePaused, c.Status.State == spec.StateRunning && !c.Restart.Stopped:
		return true, nil
	case c.Status.State == spec.StateRunning:
		return false, nil
	}
	l.stopTimer()
	return true, e.begin(ctx, l, health.Start)
}

// begin starts the container and everything around it, by a command or by its
// policy. After an error nothing is held. turn is held.
func (e *Engine) begin(ctx context.Context, l *life, why health.InputKind) error {
	l.held.free, l.held.pending = false, nil
	began := time.Now()
	l.set(func(c *condition) {
		c.Restart, _ = health.NextRestart(l.rec.Blueprint.Restart, c.Restart, health.Input{Kind: why})
		c.Held, c.BootID, c.Run = true, e.bootID, 0
		c.Status.Restarts = c.Restart.Count
		c.Status.StoppedByUser = false
	})
	started, err := e.acquireAndLaunch(ctx, l)
	if monitorLost(err) && e.ctx.Err() == nil {
		// Nobody heard of this run: it costs nothing but a second try.
		e.log.Warn("monitor is lost while it starts its container", "container", l.name(), "err", err)
		e.release(l)
		l.set(func(c *condition) { c.Held = true })
		started, err = e.acquireAndLaunch(ctx, l)
	}
	if err == nil {
		e.running(l, started)
		e.log.Debug("container started", "container", l.name(), "took", time.Since(began))
		e.tell(l, "start")
		return nil
	}
	if e.ctx.Err() != nil {
		return err // the next engine finds out what came of it
	}
	e.notStarted(l, err)
	return fmt.Errorf("cannot start %s: %w", l.name(), commandError(err))
}

func (e *Engine) acquireAndLaunch(ctx context.Context, l *life) (wire.MonitorStarted, error) {
	if err := e.acquire(ctx, l); err != nil {
		return wire.MonitorStarted{}, err
	}
	return e.launch(l)
}

// monitorLost reports whether an error means that a monitor has been killed.
func monitorLost(err error) bool {
	return errors.Is(err, wire.ErrClosed) || errors.Is(err, unix.ECONNREFUSED)
}

// commandError gives the error of a program that cannot be executed its
// sentinel.
func commandError(err error) error {
	if _, ok := wire.StartErrorCode(err); ok {
		return spec.Errorf(spec.ErrCommand, "%v", err)
	}
	return err
}

// running notes a start. turn is held.
func (e *Engine) running(l *life, started wire.MonitorStarted) {
	l.held.pid = started.PID
	l.held.openPIDFD()
	l.set(func(c *condition) {
		c.Run = started.StartedAt
		s := &c.Status
		s.Begun(time.Unix(0, started.StartedAt))
		s.Health, s.ProbeOutput = spec.HealthNone, ""
		if _, ok := l.check(); ok {
			s.Health = spec.HealthStarting
		}
	})
	e.persist(l)
	e.probe(l)
}

// notStarted notes a start that failed: its own inverse has been run. turn is
// held.
func (e *Engine) notStarted(l *life, cause error) {
	e.release(l)
	code, isCommand := wire.StartErrorCode(cause)
	if !isCommand {
		code = 128
	}
	l.set(func(c *condition) {
		c.Status.ExitCode, c.Status.Reason = code, cause.Error()
		if c.Status.State != spec.StateCreated {
			c.Status.State = spec.StateExited
		}
		c.Restart.Phase = health.Idle
	})
	e.persist(l)
}

// acquire takes of the machine what the container needs and does not hold yet.
// turn is held.
func (e *Engine) acquire(ctx context.Context, l *life) error {
	monitor := make(chan error, 1)
	if l.held.monitor == nil {
		// Its start takes a millisecond, spent beside the rest.
		go func() { monitor <- e.startMonitor(l) }()
	} else {
		monitor <- nil
	}
	err := e.acquireNetwork(ctx, l)
	return errors.Join(<-monitor, err)
}

func (e *Engine) acquireNetwork(ctx context.Context, l *life) error {
	if l.held.plugged {
		c, _, _ := l.look()
		e.announce(l, c.Places, true)
		return nil
	}
	var ports []spec.Port
	if bridged(l.rec.Blueprint) {
		var err error
		if ports, err = e.reserve(ctx, l); err != nil {
			return err
		}
	}
	places, endpoints, err := e.findPlaces(l)
	if err != nil {
		return err
	}
	l.set(func(c *condition) {
		c.Places, c.Status.Ports, c.Status.Endpoints = places, ports, endpointsOf(places)
	})
	e.persist(l) // before anything is made that the next engine must know
	if err := e.plug(ctx, l, endpoints); err != nil {
		return err
	}
	if err := e.publish(ctx, l, places, ports); err != nil {
		return err
	}
	if err := e.answerNames(ctx, l); err != nil {
		return err
	}
	l.held.plugged = true
	e.announce(l, places, true)
	return nil
}

func endpointsOf(places []place) []spec.Endpoint {
	var out []spec.Endpoint
	for _, p := range places {
		at := spec.Endpoint{Network: p.Network, IPv4: p.Addr.String(), MAC: p.MAC}
		if p.Addr6.IsValid() {
			at.IPv6 = p.Addr6.String()
		}
		out = append(out, at)
	}
	return out
}

// groupName names a container's control group.
func (e *Engine) groupName(l *life) string {
	project := l.rec.Blueprint.Project
	if project == "" {
		project = "_"
	}
	return e.groupRoot() + "/" + project + "/" + l.id
}

func (e *Engine) groupRoot() string { return "/mycompose-" + e.place.Tag }

func (e *Engine) group(l *life) *cgroup.Group { return e.cgroups.Group(e.groupName(l)) }

// launch prepares the recipe and has the monitor start it. turn is held.
func (e *Engine) launch(l *life) (started wire.MonitorStarted, err error) {
	b := l.rec.blueprint()
	devices, err := container.Devices(b)
	if err != nil {
		return started, err
	}
	group, err := e.cgroups.Create(e.groupName(l), b.Resources, deviceRules(b, devices))
	if err != nil {
		return started, err
	}
	procs, err := group.Procs()
	if err != nil {
		return started, err
	}
	defer container.CloseFiles(procs)
	oom, err := group.OOMFile()
	if err != nil {
		return started, err
	}
	defer container.CloseFiles([]*os.File{oom})
	root, err := e.root(l)
	if err != nil {
		return started, err
	}
	defer root.Close()
	mounts, err := e.mounts(l, root)
	defer closeMounts(mounts)
	if err != nil {
		return started, err
	}
	process, err := container.Resolve(b, l.rec.Image)
	if err != nil {
		return started, err
	}
	start, err := container.Prepare(container.Inputs{
		Blueprint: b, Process: process, Root: root, Mounts: mounts, Network: l.held.netns,
		Cgroups: procs, CgroupMounts: e.cgroups.Mounts(), OOM: oom,
	}, e.confiner)
	if err != nil {
		return started, err
	}
	defer start.Close()
	return l.held.monitor.Start(e.ctx, wire.MonitorStartRequest{
		Recipe: start.Recipe, Log: e.monitorLog(b), Stdin: b.StdinOpen,
		ExitRecord: e.place.ExitRecord(l.id), OOM: start.OOM,
	}, start.Files)
}

func (e *Engine) monitorLog(b spec.Blueprint) wire.MonitorLog {
	if b.Log.Driver == "none" {
		return wire.MonitorLog{}
	}
	return wire.MonitorLog{Dir: e.logDir(b), MaxSize: b.Log.MaxSize, MaxFiles: b.Log.MaxFiles}
}

func (e *Engine) logDir(b spec.Blueprint) string {
	replica := b.Log.Replica
	if replica == "" {
		replica = b.ID
	}
	return e.place.LogDir(b.Project, replica)
}

// root mounts the container's root file system, attached nowhere.
func (e *Engine) root(l *life) (*os.File, error) {
	layers, err := e.layers(l.rec.ImageDigest)
	if err != nil {
		return nil, err
	}
	skeleton, err := e.skeleton()
	if err != nil {
		return nil, err
	}
	layers = append(slices.Clip(layers), skeleton)
	dir := e.place.ContainerDir(l.id)
	return rootfs.Mount(rootfs.Overlay{Layers: layers, Upper: dir + "/" + upperName, Work: dir + "/" + workName})
}

// skeleton is the folder of mount points below every image, made once.
func (e *Engine) skeleton() (string, error) {
	dir := e.place.SkeletonDir()
	e.skeletonOnce.Do(func() { e.skeletonErr = rootfs.MakeSkeleton(dir) })
	return dir, e.skeletonErr
}

// persist writes the condition; what cannot be written is logged, since the
// machine is as it is.
func (e *Engine) persist(l *life) {
	c, _, removed := l.look()
	if removed {
		return
	}
	if err := e.store.Put(store.ContainerStatus, l.id, c, store.Cached); err != nil {
		e.log.Error("status is not stored", "container", l.name(), "err", err)
	}
}

// deviceRules are what the container may do with device nodes.
func deviceRules(b spec.Blueprint, devices []recipe.Device) []cgroup.DeviceRule {
	if b.Privileged {
		return cgroup.AllDevices()
	}
	rules := cgroup.DefaultDevices()
	for _, d := range devices {
		rules = append(rules, cgroup.DeviceRule{
			Type: d.Type, Major: int64(d.Major), Minor: int64(d.Minor), Access: permissions(b, d.Path)})
	}
	return rules
}

// permissions finds what the blueprint allows for a device at path.
func permissions(b spec.Blueprint, path string) string {
	for _, d := range b.Devices {
		target := d.Target
		if target == "" {
			target = d.Source
		}
		if d.Permissions != "" && (path == target || len(path) > len(target) && path[:len(target)+1] == target+"/") {
			return d.Permissions
		}
	}
	return "rwm"
}

// openPIDFD opens the first process, so that its number is never taken for
// another's.
func (h *held) openPIDFD() {
	h.closePIDFD()
	if fd, err := unix.PidfdOpen(h.pid, 0); err == nil {
		h.pidfd = os.NewFile(uintptr(fd), "pidfd")
	}
}

func (h *held) closePIDFD() {
	if h.pidfd != nil {
		h.pidfd.Close()
		h.pidfd = nil
	}
}
