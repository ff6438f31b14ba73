package container

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// Inputs are what a container's start is prepared from. All files stay the
// caller's and must be open until the start has been asked for.
type Inputs struct {
	Blueprint spec.Blueprint // with its ID
	Process   Process
	Root      *os.File // the detached root mount
	Mounts    []Mount  // see Order
	// Network is the network namespace, nil for the host's.
	Network *os.File
	// PIDs is the pid namespace of another container, or nil.
	PIDs *os.File
	// Cgroups are open cgroup.procs files, OOM the file that counts, or nil.
	Cgroups      []*os.File
	CgroupMounts []recipe.CgroupMount
	OOM          *os.File
	// Gate is read before the program is executed, see recipe.Recipe; or nil.
	Gate *os.File
}

// Mount is one mount of a container; one of Tree, Content and Tmpfs is set.
type Mount struct {
	Target   string
	ReadOnly bool
	Tree     *os.File // a detached mount
	// Source is the path on the host of a bind mount's tree.
	Source string
	// Content is the whole of a file: config, secret, hosts …
	Content  []byte
	Owner    tree.Owner
	Tmpfs    bool
	TmpfsOpt []string // mount options
}

// Start is a prepared start.
type Start struct {
	Recipe recipe.Recipe
	Files  []*os.File // what the recipe's File fields index
	OOM    recipe.File
	made   []*os.File
}

// Close frees what Prepare made, once the start has been asked for.
func (s *Start) Close() {
	CloseFiles(s.made)
	s.made = nil
}

func (s *Start) add(f *os.File) recipe.File {
	if f == nil {
		return recipe.None
	}
	s.Files = append(s.Files, f)
	return recipe.File(len(s.Files) - 1)
}

// Order sorts mounts so that outer targets come before inner ones, else as
// given.
func Order(mounts []Mount) {
	depth := func(m Mount) int { return strings.Count(strings.TrimRight(m.Target, "/"), "/") }
	slices.SortStableFunc(mounts, func(a, b Mount) int { return depth(a) - depth(b) })
}

// Prepare makes the recipe of a container and looks up its user in the root
// file system.
func Prepare(in Inputs, confiner *confine.Confiner) (*Start, error) {
	root, err := tree.FromFD(int(in.Root.Fd()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	id, err := LookUpUser(root, in.Process.User, in.Blueprint.GroupAdd)
	if err != nil {
		return nil, err
	}
	s := &Start{}
	b := in.Blueprint
	n := recipe.Namespaces{Mount: true, PID: !b.HostPID && in.PIDs == nil, IPC: !b.HostIPC, UTS: !b.HostUTS, Cgroup: true}
	if in.PIDs != nil {
		n.Join = []recipe.Join{{Type: "pid", File: s.add(in.PIDs)}}
	}
	if err := s.begin(recipe.KindContainer, in, id, n, confiner); err != nil {
		return nil, err
	}
	r := &s.Recipe
	r.Root, r.ReadonlyRoot = s.add(in.Root), b.ReadOnlyRoot
	r.Hostname, r.ShmSize, r.CgroupMounts = in.Process.Hostname, b.ShmSize, in.CgroupMounts
	if err := s.mounts(in.Mounts); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// begin makes of the recipe of a first process what does not depend on whether
// its mounts are there.
func (s *Start) begin(kind recipe.Kind, in Inputs, id Identity, n recipe.Namespaces, confiner *confine.Confiner) error {
	b := in.Blueprint
	n.Network = s.add(in.Network)
	s.Recipe = recipe.Recipe{
		Version: recipe.Version, Kind: kind, ID: b.ID, Root: recipe.None,
		Process: process(in.Process, id, b), Namespaces: n, Init: b.Init,
	}
	for _, f := range in.Cgroups {
		s.Recipe.Cgroups = append(s.Recipe.Cgroups, s.add(f))
	}
	s.OOM = s.add(in.OOM)
	if in.Gate != nil {
		gate := s.add(in.Gate)
		s.Recipe.Gate = &gate
	}
	if err := s.limit(b, in.Network == nil); err != nil {
		return err
	}
	return confiner.Apply(&s.Recipe, Policy(b))
}

func process(p Process, id Identity, b spec.Blueprint) recipe.Process {
	return recipe.Process{
		Args: p.Args, Env: withDefault(p.Env, "HOME", id.Home), Cwd: p.Cwd,
		UID: id.UID, GID: id.GID, Groups: id.Groups,
		OOMScoreAdj: b.OOMScoreAdj, Terminal: b.Terminal,
	}
}

// Policy is what a blueprint says of the rights of its processes.
func Policy(b spec.Blueprint) confine.Policy {
	return confine.Policy{
		Privileged: b.Privileged, CapAdd: b.CapAdd, CapDrop: b.CapDrop,
		NoNewPrivileges: b.NoNewPrivileges, Seccomp: b.Seccomp,
	}
}

// limit sets rlimits, sysctls and devices.
func (s *Start) limit(b spec.Blueprint, hostNetwork bool) error {
	limits, err := confine.Rlimits(b.Ulimits)
	if err != nil {
		return err
	}
	s.Recipe.Process.Rlimits = limits
	for name, value := range b.Sysctls {
		if err := confine.CheckSysctl(name, confine.Shared{Network: hostNetwork, IPC: b.HostIPC, UTS: b.HostUTS}); err != nil {
			return err
		}
		s.setSysctl(name, value)
	}
	if b.Domainname != "" {
		s.setSysctl("kernel.domainname", b.Domainname)
	}
	s.Recipe.Devices, err = Devices(b)
	return err
}

func (s *Start) setSysctl(name, value string) {
	if s.Recipe.Sysctls == nil {
		s.Recipe.Sysctls = map[string]string{}
	}
	s.Recipe.Sysctls[name] = value
}

// Devices are the host's devices that a blueprint gives to its container.
func Devices(b spec.Blueprint) ([]recipe.Device, error) {
	var out []recipe.Device
	if b.Privileged {
		all, err := rootfs.HostDevices()
		if err != nil {
			return nil, err
		}
		out = all
	}
	for _, d := range b.Devices {
		more, err := rootfs.Devices(d.Source, d.Target)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func (s *Start) mounts(mounts []Mount) error {
	for _, m := range mounts {
		r := recipe.Mount{Target: m.Target, ReadOnly: m.ReadOnly, File: recipe.None, ContentFile: recipe.None}
		switch {
		case m.Tree != nil:
			r.Kind, r.File = recipe.MountTree, s.add(m.Tree)
		case m.Tmpfs:
			r.Kind, r.Options = recipe.MountTmpfs, m.TmpfsOpt
		default:
			f, err := memory(m.Content)
			if err != nil {
				return fmt.Errorf("cannot prepare %s: %w", m.Target, err)
			}
			s.made = append(s.made, f)
			r.Kind, r.ContentFile = recipe.MountContent, s.add(f)
			r.UID, r.GID, r.Mode = m.Owner.UID, m.Owner.GID, m.Owner.Mode
		}
		s.Recipe.Mounts = append(s.Recipe.Mounts, r)
	}
	return nil
}

// memory is a file that lies nowhere, with content, at its beginning.
func memory(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("mycompose-content", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "content")
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// TmpfsOptions are the mount options of a blueprint's tmpfs, tmpfs(5): noexec,
// nosuid and nodev unless it says otherwise.
func TmpfsOptions(m spec.Mount) []string {
	flags := map[string]bool{"noexec": true, "nosuid": true, "nodev": true}
	for _, word := range m.TmpfsOptions {
		if name, isNo := strings.CutPrefix(word, "no"); isNo {
			flags["no"+name] = true
		} else {
			delete(flags, "no"+word)
		}
	}
	var out []string
	for _, name := range []string{"noexec", "nosuid", "nodev"} {
		if flags[name] {
			out = append(out, name)
		}
	}
	mode := m.TmpfsMode
	if mode == 0 {
		mode = 0o1777
	}
	out = append(out, "mode="+strconv.FormatUint(uint64(mode), 8))
	for _, o := range []struct {
		name  string
		value int64
	}{{"size", m.TmpfsSize}, {"uid", int64(m.TmpfsUID)}, {"gid", int64(m.TmpfsGID)}} {
		if o.value != 0 {
			out = append(out, o.name+"="+strconv.FormatInt(o.value, 10))
		}
	}
	return out
}
