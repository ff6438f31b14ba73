package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// blueprint is what all replicas of a service have in common.
func (w *wanter) blueprint(s model.Service) spec.Blueprint {
	b := spec.Blueprint{
		Project: w.project.Name, Labels: UserLabels(s.Labels), Image: w.project.ImageName(s),
		Entrypoint: s.Entrypoint, Command: s.Command,
		Environment: s.Environment, Unset: s.Unset, WorkingDir: s.WorkingDir,
		User: s.User, GroupAdd: s.GroupAdd, Hostname: s.Hostname, Domainname: s.Domainname,
		Terminal: s.TTY, StdinOpen: s.StdinOpen, Init: s.Init,
		StopSignal: s.StopSignal, StopGrace: s.StopGracePeriod,
		Privileged: s.Privileged, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		NoNewPrivileges: s.NoNewPrivileges, ReadOnlyRoot: s.ReadOnly, Sysctls: s.Sysctls,
		OOMScoreAdj: s.OOMScoreAdj, DeviceRules: s.DeviceRules, HostPID: s.HostPID, HostIPC: s.HostIPC, HostUTS: s.HostUTS, PIDMode: s.PIDMode,
		ShmSize: s.Resources.ShmSize, Resources: resources(s.Resources),
		ExtraHosts: extraHosts(s.ExtraHosts),
		DNS:        spec.DNS{Servers: s.DNS, Search: s.DNSSearch, Options: s.DNSOpt},
		PostStart:  hooks(s.PostStart), PreStop: hooks(s.PreStop),
		Health: health(s.Healthcheck), Log: w.log(s.Logging),
		Restart: spec.Restart{
			Policy: spec.RestartPolicy(s.Restart.Policy), MaxAttempts: s.Restart.MaxRetries,
			Delay: s.Restart.Delay, Window: s.Restart.Window,
		},
	}
	if s.SeccompUnconfined {
		b.Seccomp = "unconfined"
	}
	b.HostLoopback = s.HostLoopback()
	if b.Restart.Policy == spec.RestartNo { // the same as none given
		b.Restart.Policy = ""
	}
	b.Ulimits = ulimits(s.Ulimits)
	for _, d := range s.Devices {
		b.Devices = append(b.Devices, spec.DeviceMapping(d))
	}
	for _, e := range s.Expose {
		b.Expose = append(b.Expose, strconv.Itoa(int(e.Port))+"/"+e.Protocol)
	}
	hostIP := w.options.Defaults.HostIP
	if w.networkBindsPorts(s) {
		hostIP = "" // the engine's choice
	}
	for _, p := range s.Ports {
		b.Ports = append(b.Ports, spec.Port{
			HostIP: cmp.Or(p.HostIP, hostIP), HostPort: p.Published,
			HostPortEnd: p.PublishedEnd, ContainerPort: p.Target, Protocol: p.Protocol,
		})
	}
	for _, m := range s.Mounts {
		b.Mounts = append(b.Mounts, w.mount(s.Name, m))
	}
	for _, from := range s.VolumesFrom {
		name := from.Container
		if from.Service != "" {
			name = model.ServicePrefix + from.Service
		}
		b.VolumesFrom = append(b.VolumesFrom, spec.VolumesFrom{Container: name, ReadOnly: from.ReadOnly})
	}
	w.files(s, &b)
	w.attach(s, &b)
	return b
}

func (w *wanter) attach(s model.Service, b *spec.Blueprint) {
	switch {
	case s.NetworkMode == "bridge":
		b.NetworkMode = "bridge"
		b.Networks = []spec.Attachment{{Network: spec.SharedNetworkName}}
	case s.NetworkMode != "":
		b.NetworkMode = s.NetworkMode
	case len(s.Networks) == 0:
		b.NetworkMode = "none"
	default:
		b.NetworkMode = "bridge"
	}
	b.Links = s.Links
	for _, at := range s.Networks {
		n, ok := w.project.Networks[at.Network]
		if !ok {
			w.fail(fmt.Errorf("service %q refers to undefined network %s", s.Name, at.Network))
			continue
		}
		aliases := at.Aliases
		if !at.NoServiceName {
			aliases = appendNew([]string{s.Name}, aliases...)
		}
		b.Networks = append(b.Networks, spec.Attachment{
			Network: n.Name, Aliases: aliases, IPv4Address: at.IPv4, IPv6Address: at.IPv6, MACAddress: at.MAC,
			InterfaceName: at.InterfaceName, LinkLocal: at.LinkLocal,
			Priority: at.Priority, GatewayPriority: at.GatewayPriority,
		})
	}
}

// networkBindsPorts reports whether an option of the network that leads out says
// where ports are published.
func (w *wanter) networkBindsPorts(s model.Service) bool {
	best := -1
	for i, at := range s.Networks {
		if !w.project.Networks[at.Network].Internal && (best < 0 || at.GatewayPriority > s.Networks[best].GatewayPriority) {
			best = i
		}
	}
	return best >= 0 && w.project.Networks[s.Networks[best].Network].Options[spec.OptionHostIPv4] != ""
}

func (w *wanter) mount(service string, m model.Mount) spec.Mount {
	out := spec.Mount{
		Type: spec.MountType(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly,
		NoCopy: m.NoCopy, Subpath: m.Subpath, CreateHostPath: m.CreateHostPath, Propagation: m.Propagation,
		TmpfsSize: m.Size, TmpfsUID: m.UID, TmpfsGID: m.GID, TmpfsOptions: m.Options,
	}
	if m.Mode != nil {
		out.TmpfsMode = *m.Mode
	}
	if m.Type == model.MountVolume && m.Source != "" {
		v, ok := w.project.Volumes[m.Source]
		if !ok {
			w.fail(fmt.Errorf("service %q refers to undefined volume %s", service, m.Source))
		}
		out.Source = v.Name
	}
	return out
}

func (w *wanter) files(s model.Service, b *spec.Blueprint) {
	add := func(kind string, refs []model.FileRef, objects map[string]model.Object, secret bool) {
		for _, ref := range refs {
			object, ok := objects[ref.Source]
			switch {
			case !ok:
				w.fail(fmt.Errorf("service %q refers to undefined %s %s", s.Name, kind, ref.Source))
			case object.Digest == "":
				w.fail(fmt.Errorf("cannot give %s %s to service %s: its content was not read", kind, ref.Source, s.Name))
			default:
				b.Files = append(b.Files, spec.File{
					Digest: object.Digest, Target: ref.Target, UID: ref.UID, GID: ref.GID, Mode: ref.Mode, Secret: secret,
				})
			}
		}
	}
	add("config", s.Configs, w.project.Configs, false)
	add("secret", s.Secrets, w.project.Secrets, true)
}

func (w *wanter) log(l *model.Logging) spec.Log {
	out := spec.Log{MaxSize: w.options.Defaults.LogMaxSize, MaxFiles: w.options.Defaults.LogMaxFiles}
	if l == nil {
		return out
	}
	out.Driver = l.Driver
	out.MaxSize = cmp.Or(l.MaxSize, out.MaxSize)
	out.MaxFiles = cmp.Or(l.MaxFile, out.MaxFiles)
	return out
}

func health(h *model.Healthcheck) *spec.Health {
	if h == nil {
		return nil
	}
	return &spec.Health{
		Disable: h.Disable, Test: h.Test, Interval: h.Interval, Timeout: h.Timeout,
		StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries,
	}
}

func hooks(list []model.Hook) []spec.Hook {
	var out []spec.Hook
	for _, h := range list {
		out = append(out, spec.Hook{
			Args: h.Command, Environment: h.Environment, User: h.User, WorkingDir: h.WorkingDir, Privileged: h.Privileged,
		})
	}
	return out
}

func resources(r model.Resources) spec.Resources {
	block := spec.BlockIO{Weight: r.BlockIO.Weight}
	for _, d := range r.BlockIO.Devices {
		block.Devices = append(block.Devices, spec.BlockDevice(d))
	}
	return spec.Resources{
		BlockIO: block,
		Memory:  r.Memory, MemorySwap: r.MemorySwap, MemoryReservation: r.MemoryReservation,
		CPUs: float64(r.NanoCPUs) / 1e9, CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod, Cpuset: r.CPUSet, Pids: r.Pids,
	}
}

func ulimits(limits []model.Ulimit) map[string]spec.Ulimit {
	var out map[string]spec.Ulimit
	for _, u := range limits {
		if out == nil {
			out = map[string]spec.Ulimit{}
		}
		out[u.Name] = spec.Ulimit{Soft: u.Soft, Hard: u.Hard}
	}
	return out
}

func extraHosts(hosts []model.ExtraHost) []spec.ExtraHost {
	var out []spec.ExtraHost
	for _, h := range hosts {
		out = append(out, spec.ExtraHost{Name: h.Name, IP: h.Address})
	}
	return out
}

// hash is the identity of a service's containers: of the template, in which
// nothing stands that a replica's number decides, and of container_name.
func hash(template spec.Blueprint, containerName string) string {
	template.Name = containerName
	template.Labels = UserLabels(template.Labels)
	return digest(template)
}

// digest is the SHA-256 of the canonical JSON (fields in fixed order, map keys
// sorted, empty ones left out). Plain data of engine/spec always marshals.
func digest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("state: engine/spec does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func joinComma(list []string) string { return strings.Join(list, ",") }

func compare(a, b string) int { return cmp.Compare(a, b) }
