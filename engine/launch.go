package engine

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// ground is what a container stands on: its control group and its root.
type ground struct {
	procs []*os.File
	oom   *os.File
	root  *os.File
}

func (g ground) close() { container.CloseFiles(append(slices.Clip(g.procs), g.oom, g.root)) }

// makeGround makes both; what is returned beside an error must be closed too,
// and the group be removed. turn is held.
func (e *Engine) makeGround(l *life) (g ground, err error) {
	b := l.rec.blueprint()
	devices, err := container.Devices(b)
	if err != nil {
		return g, err
	}
	group, err := e.cgroups.Create(e.groupName(l), b.Resources, deviceRules(b, devices))
	if err != nil {
		return g, err
	}
	if g.procs, err = group.Procs(); err != nil {
		return g, err
	}
	if g.oom, err = group.OOMFile(); err != nil {
		return g, err
	}
	g.root, err = e.root(l)
	return g, err
}

// launch prepares the recipe and has the monitor start it, in a network namespace,
// nil for the host's, and behind a gate, nil for none. turn is held.
func (e *Engine) launch(l *life, g ground, netns, gate *os.File) (started wire.MonitorStarted, err error) {
	b := e.named(l.rec.blueprint())
	mounts, err := e.mounts(l, g.root)
	defer closeMounts(mounts)
	if err != nil {
		return started, err
	}
	process, err := container.Resolve(b, l.rec.Image)
	if err != nil {
		return started, err
	}
	pid, err := e.sharedPID(l)
	if err != nil {
		return started, err
	}
	defer container.CloseFiles([]*os.File{pid})
	start, err := container.Prepare(container.Inputs{
		Blueprint: b, Process: process, Root: g.root, Mounts: mounts, Network: netns, PIDs: pid,
		Cgroups: g.procs, CgroupMounts: e.cgroups.Mounts(), OOM: g.oom, Gate: gate,
	}, e.confiner)
	if err != nil {
		return started, err
	}
	defer start.Close()
	return e.askToStart(l, start)
}

// askToStart has the monitor start what is prepared. turn is held.
func (e *Engine) askToStart(l *life, start *container.Start) (wire.MonitorStarted, error) {
	b := l.rec.blueprint()
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
	private := e.place.SkeletonDir()
	dir := filepath.Join(private, "root")
	e.skeletonOnce.Do(func() {
		if e.skeletonErr = os.MkdirAll(private, 0o700); e.skeletonErr == nil {
			e.skeletonErr = rootfs.MakeSkeleton(dir)
		}
	})
	return dir, e.skeletonErr
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
	for _, text := range b.DeviceRules {
		if rule, err := spec.ParseDeviceRule(text); err == nil { // checked before
			rules = append(rules, cgroup.DeviceRule(rule))
		}
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
