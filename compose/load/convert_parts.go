package load

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

func (c *converter) build(p *types.Project, service string, b *types.BuildConfig) *model.Build {
	if b == nil {
		return nil
	}
	at := c.index.At("services." + service + ".build")
	out := &model.Build{
		Where:            at.String(),
		Context:          b.Context,
		DockerfileInline: b.DockerfileInline,
		Target:           b.Target,
		Labels:           copyMap(b.Labels),
		Tags:             slices.Clone([]string(b.Tags)),
		NoCache:          b.NoCache,
		Pull:             b.Pull,
		Network:          b.Network,
		ExtraHosts:       extraHosts(b.ExtraHosts),
	}
	if b.DockerfileInline == "" {
		out.Dockerfile = dockerfile(b)
	}
	if n, ok := p.Networks[b.Network]; ok {
		out.Network = n.Name
	}
	out.Args, _ = environment(b.Args)
	for _, s := range b.Secrets {
		out.Secrets = append(out.Secrets, model.BuildSecret{Source: s.Source, ID: cmp.Or(s.Target, s.Source)})
	}
	out.AdditionalContexts = copyMap(b.AdditionalContexts)
	out.NoCacheFilter = slices.Clone([]string(b.NoCacheFilter))
	out.CacheFrom, out.CacheTo = buildCaches(b.CacheFrom, p.WorkingDir), buildCaches(b.CacheTo, p.WorkingDir)
	out.ShmSize, out.Ulimits = int64(b.ShmSize), ulimits(b.Ulimits)
	for _, key := range b.SSH {
		if out.SSH == nil {
			out.SSH = map[string]string{}
		}
		out.SSH[key.ID] = sshPath(p, key)
	}
	return out
}

// sshPath is where the agent or the key of an entry of build.ssh is; "default"
// alone is the user's agent.
func sshPath(p *types.Project, key types.SSHKey) string {
	path := cmp.Or(key.Path, p.Environment["SSH_AUTH_SOCK"])
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(p.WorkingDir, path)
	}
	return path
}

// mounts joins volumes and tmpfs.
func mounts(s types.ServiceConfig) []model.Mount {
	var out []model.Mount
	for _, v := range s.Volumes {
		m := model.Mount{Type: model.MountType(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		if v.Type == types.VolumeTypeBind {
			m.CreateHostPath = true
		}
		if v.Bind != nil {
			m.CreateHostPath = v.Type == types.VolumeTypeBind && bool(v.Bind.CreateHostPath)
			m.Propagation, m.SELinux = v.Bind.Propagation, v.Bind.SELinux
		}
		if v.Volume != nil {
			m.NoCopy, m.Subpath = v.Volume.NoCopy, v.Volume.Subpath
		}
		if v.Tmpfs != nil {
			m.Size = int64(v.Tmpfs.Size)
			if v.Tmpfs.Mode != 0 {
				mode := v.Tmpfs.Mode
				m.Mode = &mode
			}
		}
		out = append(out, m)
	}
	for _, t := range s.Tmpfs {
		if m, err := parseTmpfs(t); err == nil {
			out = append(out, m)
		}
	}
	return out
}

func configRefs(refs []types.ServiceConfigObjConfig) []model.FileRef {
	var out []model.FileRef
	for _, r := range refs {
		out = append(out, fileRef(types.FileReferenceConfig(r), "/"))
	}
	return out
}

func secretRefs(refs []types.ServiceSecretConfig) []model.FileRef {
	var out []model.FileRef
	for _, r := range refs {
		out = append(out, fileRef(types.FileReferenceConfig(r), "/run/secrets"))
	}
	return out
}

// fileRef fills the defaults in: the name in the folder, root's, readable by all.
func fileRef(r types.FileReferenceConfig, dir string) model.FileRef {
	target := cmp.Or(r.Target, r.Source)
	if !path.IsAbs(target) {
		target = path.Join(dir, target)
	}
	out := model.FileRef{Source: r.Source, Target: path.Clean(target), UID: id(r.UID), GID: id(r.GID), Mode: 0o444}
	if r.Mode != nil {
		out.Mode = uint32(*r.Mode) & 0o7777
	}
	return out
}

// id reads a number that was checked; "" is root.
func id(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

func attachments(s types.ServiceConfig) []model.Attachment {
	var out []model.Attachment
	main := -1
	for _, key := range sortedKeys(s.Networks) {
		a := model.Attachment{Network: key}
		if n := s.Networks[key]; n != nil {
			a = model.Attachment{
				Network: key, Aliases: slices.Clone(n.Aliases), IPv4: n.Ipv4Address, IPv6: n.Ipv6Address, MAC: n.MacAddress,
				InterfaceName: n.InterfaceName, LinkLocal: linkLocal(n.LinkLocalIPs),
				Priority: n.Priority, GatewayPriority: n.GatewayPriority,
				NoServiceName: !n.ServiceNameAliasEnabled(),
			}
		}
		out = append(out, a)
		if main < 0 || a.Priority > out[main].Priority {
			main = len(out) - 1
		}
	}
	// The hardware address of a service is that of its first link.
	if main >= 0 && out[main].MAC == "" {
		out[main].MAC = s.MacAddress
	}
	return out
}

// links reads "service" and "service:alias".
func links(list []string) map[string]string {
	var out map[string]string
	for _, text := range list {
		service, alias := cutLink(text)
		if out == nil {
			out = map[string]string{}
		}
		out[alias] = service
	}
	return out
}

func cutLink(text string) (service, alias string) {
	service, alias, _ = strings.Cut(text, ":")
	return service, cmp.Or(alias, service)
}

func ports(list []types.ServicePortConfig) []model.Port {
	var out []model.Port
	for _, p := range list {
		first, last, _ := parsePublished(p.Published)
		port := model.Port{
			HostIP:      strings.Trim(p.HostIP, "[]"),
			Published:   first,
			Target:      uint16(p.Target),
			Protocol:    cmp.Or(p.Protocol, "tcp"),
			Name:        p.Name,
			AppProtocol: p.AppProtocol,
			Mode:        p.Mode,
		}
		if last > first {
			port.PublishedEnd = last
		}
		out = append(out, port)
	}
	return out
}

// exposedPorts unfolds ranges.
func exposedPorts(list types.StringOrNumberList) []model.ExposedPort {
	var out []model.ExposedPort
	for _, text := range list {
		e, ok := parseExpose(text)
		if !ok {
			continue
		}
		for port := int(e.first); port <= int(e.last); port++ {
			out = append(out, model.ExposedPort{Port: uint16(port), Protocol: e.protocol})
		}
	}
	slices.SortFunc(out, func(a, b model.ExposedPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(out)
}

func extraHosts(hosts types.HostsList) []model.ExtraHost {
	var out []model.ExtraHost
	for _, name := range sortedKeys(hosts) {
		for _, address := range hosts[name] {
			if host := (model.ExtraHost{Name: name, Address: address}); !slices.Contains(out, host) {
				out = append(out, host)
			}
		}
	}
	return out
}
