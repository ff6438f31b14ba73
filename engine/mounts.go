package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/volume"
)

// Names in a container's own folder.
const (
	upperName = "upper"
	workName  = "work"
)

// mounts are all of a container's mounts in order, their sources open; without a
// root no volume is filled from it. What is returned beside an error must be
// closed too. turn is held.
func (e *Engine) mounts(l *life, root *os.File) ([]container.Mount, error) {
	var out []container.Mount
	for _, m := range l.rec.Mounts {
		mount, err := e.mount(l, m, root)
		if err != nil {
			return out, fmt.Errorf("cannot mount %s: %w", m.Target, err)
		}
		out = append(out, mount)
	}
	for _, f := range l.rec.Blueprint.Files {
		content, err := e.store.Content(f.Digest)
		if err != nil {
			return out, fmt.Errorf("cannot mount %s: %w", f.Target, err)
		}
		out = append(out, container.Mount{Target: f.Target, ReadOnly: true, Content: content,
			Owner: tree.Owner{Mode: f.Mode, UID: f.UID, GID: f.GID}})
	}
	files, err := e.networkFiles(l)
	if err != nil {
		return out, err
	}
	for _, f := range files {
		taken := func(m container.Mount) bool { return path.Clean(m.Target) == f.Target }
		if !slices.ContainsFunc(out, taken) {
			out = append(out, f)
		}
	}
	container.Order(out)
	return out, nil
}

func closeMounts(mounts []container.Mount) {
	for _, m := range mounts {
		if m.Tree != nil {
			m.Tree.Close()
		}
	}
}

func (e *Engine) mount(l *life, m spec.Mount, root *os.File) (container.Mount, error) {
	out := container.Mount{Target: m.Target, ReadOnly: m.ReadOnly}
	options := volume.Options{ReadOnly: m.ReadOnly, Propagation: m.Propagation, Create: m.CreateHostPath}
	var err error
	switch m.Type {
	case spec.MountTmpfs:
		out.Tmpfs, out.TmpfsOpt = true, container.TmpfsOptions(m)
	case spec.MountBind:
		out.Source = m.Source
		out.Tree, err = volume.OpenBind(m.Source, options)
	case spec.MountVolume:
		o := e.volumeOptions(m.Source)
		if err := e.mountVolume(m.Source, o); err != nil {
			return out, err
		}
		if !m.NoCopy && root != nil {
			if err := e.fill(l, m, root); err != nil {
				return out, err
			}
		}
		options.ReadOnly = options.ReadOnly || o.ReadOnly
		out.Tree, err = volume.Open(e.volumeDir(m.Source), m.Subpath, options)
	default:
		err = spec.Errorf(spec.ErrUnsupported, "mount type %q is not built yet", m.Type)
	}
	return out, err
}

// fill copies the image's content at the mount's target into the volume if the
// volume is empty: only the first container to use it finds it so.
func (e *Engine) fill(l *life, m spec.Mount, root *os.File) error {
	e.volumeTurn.Lock()
	defer e.volumeTurn.Unlock()
	dir := e.volumeDir(m.Source)
	if empty, err := volume.Empty(dir); err != nil || !empty || e.volumeUsed(m.Source, l) {
		return err
	}
	from, err := tree.FromFD(int(root.Fd()))
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat(m.Target)
	if err != nil || info.Mode&unix.S_IFMT != unix.S_IFDIR {
		return ignoreMissing(err)
	}
	return volume.Fill(dir, func(folder string) error {
		to, err := tree.Open(folder)
		if err != nil {
			return err
		}
		defer to.Close()
		return tree.Copy(context.WithoutCancel(e.ctx), from, m.Target, to, "/")
	})
}

// volumeUsed reports whether a container other than l is up with the volume.
func (e *Engine) volumeUsed(name string, l *life) bool {
	for _, other := range e.all() {
		if c, _, _ := other.look(); other != l && c.Held && other.names(name) {
			return true
		}
	}
	return false
}

// names reports whether the container mounts the volume.
func (l *life) names(volumeName string) bool {
	return slices.ContainsFunc(l.rec.Mounts, func(m spec.Mount) bool {
		return m.Type == spec.MountVolume && m.Source == volumeName
	})
}

// networkFiles are /etc/hosts, /etc/resolv.conf and /etc/hostname.
func (e *Engine) networkFiles(l *life) ([]container.Mount, error) {
	b := l.rec.blueprint()
	resolv, err := e.resolvConf(b)
	if err != nil {
		return nil, err
	}
	hosts := e.hostsOf(l)
	if b.NetworkMode == modeHost && len(b.ExtraHosts) == 0 {
		if hosts, err = os.ReadFile(hostsPath); ignoreMissing(err) != nil {
			return nil, err
		}
		hosts = append(bytes.TrimRight(hosts, "\n"), "\n127.0.0.1\t"+strings.Join(hostNames(), " ")+"\n"...)
	}
	file := func(target string, content []byte) container.Mount {
		return container.Mount{Target: target, Content: content, Owner: tree.Owner{Mode: 0o644}}
	}
	return []container.Mount{
		file(hostsPath, hosts), file("/etc/resolv.conf", resolv),
		file("/etc/hostname", []byte(container.Hostname(e.named(b))+"\n")),
	}, nil
}

// hostLines are the container's own addresses with its names.
func (l *life) hostLines() []container.HostLine {
	names := []string{container.Hostname(l.rec.blueprint())}
	if d := l.rec.Blueprint.Domainname; d != "" {
		names = append([]string{names[0] + "." + d}, names...)
	}
	c, _, _ := l.look()
	var lines []container.HostLine
	for _, p := range c.Places {
		for _, a := range p.addrs() {
			lines = append(lines, container.HostLine{Addr: a, Names: names})
		}
	}
	return lines
}

// hostNames are how every container calls the host.
func hostNames() []string { return []string{"host.docker.internal", "host.mycompose.internal"} }

// hostGateway stands for the host's address on a network.
const hostGateway = "host-gateway"

// extraHosts are the blueprint's, with host-gateway as an address, and the names
// of the host where it can be reached.
func (e *Engine) extraHosts(l *life) []spec.ExtraHost {
	out := slices.Clone(l.rec.Blueprint.ExtraHosts)
	gateway := e.hostAddress(l)
	for i := range out {
		if out[i].IP == hostGateway {
			out[i].IP = gateway
		}
	}
	for _, name := range hostNames() {
		if gateway != "" && !slices.ContainsFunc(out, func(h spec.ExtraHost) bool { return h.Name == name }) {
			out = append(out, spec.ExtraHost{Name: name, IP: gateway})
		}
	}
	// A name without an address would hide what the resolver knows.
	return slices.DeleteFunc(out, func(h spec.ExtraHost) bool { return h.IP == "" })
}

// hostAddress is where a container reaches the host: the gateway of its bridge
// that leads out, or of its first one; "" if it cannot, as without a network or
// on a macvlan network.
func (e *Engine) hostAddress(l *life) string {
	b := l.rec.Blueprint
	if b.NetworkMode == modeHost {
		return "127.0.0.1"
	}
	if strings.HasPrefix(b.NetworkMode, modeContainer) {
		if o := e.networkOwner(l); o != nil {
			return e.hostAddress(o)
		}
		return ""
	}
	address := ""
	c, _, _ := l.look()
	for _, p := range c.Places {
		n := e.bridge(p.Network)
		if n != nil && n.bridged() && (p.Published || address == "") {
			address = n.config(p.main()).Gateway.String()
		}
	}
	return address
}

// resolvConf is a container's: our resolver on networks of ours, else the
// host's file, with what the blueprint says in place of it.
func (e *Engine) resolvConf(b spec.Blueprint) ([]byte, error) {
	// Who shares a network asks whom its owner asks, as in dockerd.
	for word, ok := strings.CutPrefix(b.NetworkMode, modeContainer); ok; word, ok = strings.CutPrefix(b.NetworkMode, modeContainer) {
		owner, err := e.Find(word)
		if err != nil {
			return nil, err
		}
		b = owner.Blueprint
	}
	config, err := e.upstream.Config()
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, s := range config.Servers {
		servers = append(servers, s.Addr().String())
	}
	search, options := config.Search, config.Options
	if len(b.DNS.Servers) > 0 {
		servers = b.DNS.Servers
	}
	if len(b.DNS.Search) > 0 {
		search = slices.DeleteFunc(slices.Clone(b.DNS.Search), func(s string) bool { return s == "." })
	}
	if len(b.DNS.Options) > 0 {
		options = b.DNS.Options
	}
	if bridged(b) {
		servers = []string{dns.Addr().String()}
		if !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
			options = append(slices.Clone(options), "ndots:0")
		}
	}
	return container.ResolvConf(servers, search, options), nil
}
