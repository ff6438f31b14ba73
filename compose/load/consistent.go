package load

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// consistent checks one service against itself.
func (l *projectLoader) consistent(s types.ServiceConfig) {
	path := "services." + s.Name
	follows := slices.ContainsFunc([]string{".image", ".build", ".extends"}, func(key string) bool { return l.cutWithin(path + key) })
	if s.Image == "" && s.Build == nil && !follows {
		l.problems.add(l.index.At(path), path, fmt.Sprintf("service %s has neither an image nor a build context", s.Name), "add image: or build:")
	}
	if s.NetworkMode != "" && len(s.Networks) > 0 {
		l.mistake(path+".network_mode", fmt.Sprintf("service %s has network_mode and networks", s.Name), "keep one of them")
	}
	if s.HealthCheck != nil && len(s.HealthCheck.Test) > 0 &&
		!slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, s.HealthCheck.Test[0]) {
		l.mistake(path+".healthcheck.test", fmt.Sprintf("%s.healthcheck.test begins with %q", path, s.HealthCheck.Test[0]),
			"begin the list with CMD or CMD-SHELL, or write one text")
	}
	if len(s.Ports) > 0 {
		l.portsNeedNetwork(s)
	}
	l.replicas(s)
	l.limits(s)
	l.mountTargets(s)
	if s.Develop != nil {
		for i, rule := range s.Develop.Watch {
			if rule.Target == "" && rule.Action != types.WatchActionRebuild && rule.Action != types.WatchActionRestart {
				at := fmt.Sprintf("%s.develop.watch[%d]", path, i)
				l.mistake(at, fmt.Sprintf("%s has no target", at), "add target:, the path inside the container")
			}
		}
	}
}

// portsNeedNetwork checks published ports against a network mode in which
// nothing can be published.
func (l *projectLoader) portsNeedNetwork(s types.ServiceConfig) {
	path := "services." + s.Name + ".ports"
	switch {
	case s.NetworkMode == "host", s.NetworkMode == "none":
		l.warnings.add("service %s: published ports have no effect with network_mode: %s", s.Name, s.NetworkMode)
	case strings.HasPrefix(s.NetworkMode, types.ServicePrefix):
		owner := strings.TrimPrefix(s.NetworkMode, types.ServicePrefix)
		l.mistake(path, fmt.Sprintf("service %s publishes ports in the network of service %s", s.Name, owner), "publish them at service "+owner)
	}
}

// replicas checks the number of replicas against what only one can have.
func (l *projectLoader) replicas(s types.ServiceConfig) {
	path := "services." + s.Name
	if s.Scale != nil && s.Deploy != nil && s.Deploy.Replicas != nil && *s.Scale != *s.Deploy.Replicas {
		l.mistake(path+".scale", fmt.Sprintf("%s: scale is %d and deploy.replicas %d", path, *s.Scale, *s.Deploy.Replicas), "keep one of them")
	}
	if s.GetScale() <= 1 {
		return
	}
	if s.ContainerName != "" {
		l.mistake(path+".container_name", fmt.Sprintf("service %s has container_name and %d replicas", s.Name, s.GetScale()),
			"take container_name away: names are unique")
	}
	for name, n := range s.Networks {
		if n != nil && n.Ipv4Address != "" {
			where := path + ".networks." + name + ".ipv4_address"
			l.mistake(where, fmt.Sprintf("service %s has a fixed address and %d replicas", s.Name, s.GetScale()), "take ipv4_address away")
		}
	}
}

// limits checks values that can be given in two places.
func (l *projectLoader) limits(s types.ServiceConfig) {
	path := "services." + s.Name
	twice := func(differ bool, key, deploy string) {
		if differ {
			l.mistake(path+"."+key, fmt.Sprintf("%s: %s and %s differ", path, key, deploy), "keep one of them")
		}
	}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		r := s.Deploy.Resources.Limits
		twice(s.CPUS != 0 && r.NanoCPUs != 0 && r.NanoCPUs.Value() != s.CPUS, "cpus", "deploy.resources.limits.cpus")
		twice(s.MemLimit != 0 && r.MemoryBytes != 0 && r.MemoryBytes != s.MemLimit, "mem_limit", "deploy.resources.limits.memory")
		twice(s.PidsLimit != 0 && r.Pids != 0 && r.Pids != s.PidsLimit, "pids_limit", "deploy.resources.limits.pids")
	}
	if s.Deploy != nil && s.Deploy.Resources.Reservations != nil {
		r := s.Deploy.Resources.Reservations
		twice(s.MemReservation != 0 && r.MemoryBytes != 0 && r.MemoryBytes != s.MemReservation,
			"mem_reservation", "deploy.resources.reservations.memory")
	}
	memory := s.MemLimit
	if memory == 0 && s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		memory = s.Deploy.Resources.Limits.MemoryBytes
	}
	if s.MemSwapLimit > 0 && s.MemSwapLimit < memory {
		l.mistake(path+".memswap_limit", path+".memswap_limit is smaller than mem_limit", "it counts memory and swap together")
	}
	if s.MemSwapLimit > 0 && memory == 0 {
		l.mistake(path+".memswap_limit", path+".memswap_limit stands without mem_limit", "it counts memory and swap together: add mem_limit")
	}
	for name, u := range s.Ulimits {
		if u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1) {
			l.mistake(path+".ulimits."+name, fmt.Sprintf("%s.ulimits.%s: soft %d is above hard %d", path, name, u.Soft, u.Hard), "raise hard or lower soft")
		}
	}
}

// mountTargets checks that no two mounts lie on one path.
func (l *projectLoader) mountTargets(s types.ServiceConfig) {
	path := "services." + s.Name
	seen := map[string]string{}
	add := func(list, target, source string) {
		if other, ok := seen[target]; ok {
			at := l.index.item(path+list, func(text string) bool { return text == target || textEndsIn(text, target) && other != text })
			l.mistakeAt(at, path+list, fmt.Sprintf("%s%s mounts two things at %s", path, list, target), "keep one of them")
		}
		seen[target] = source
	}
	for _, v := range s.Volumes {
		add(".volumes", v.Target, v.Source+":"+v.Target)
	}
	for _, t := range s.Tmpfs {
		if m, err := parseTmpfs(t); err == nil {
			add(".tmpfs", m.Target, t)
		}
	}
}

// textEndsIn says whether the short form of a volume has this target.
func textEndsIn(text, target string) bool {
	_, rest, ok := cutVolume(text)
	return ok && rest == target
}

// buildFiles checks that the build context and the Dockerfile are there.
func (l *projectLoader) buildFiles(s types.ServiceConfig) {
	if s.Build == nil {
		return
	}
	path := "services." + s.Name + ".build"
	where := path + ".context"
	if _, ok := l.index.find(where, 0); !ok {
		where = path
	}
	info, err := os.Stat(s.Build.Context)
	switch {
	case err != nil:
		l.mistake(where, fmt.Sprintf("build context of service %s does not exist: %s", s.Name, l.shown(s.Build.Context)), "name an existing folder")
		return
	case !info.IsDir():
		l.mistake(where, fmt.Sprintf("build context of service %s is no folder: %s", s.Name, l.shown(s.Build.Context)), "name the folder and use dockerfile: for the file")
		return
	}
	if s.Build.DockerfileInline != "" {
		if _, ok := l.index.find(path+".dockerfile", 0); ok {
			l.mistake(path+".dockerfile", path+" has dockerfile and dockerfile_inline", "keep one of them")
		}
		return
	}
	file := dockerfile(s.Build)
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		if _, ok := l.index.find(path+".dockerfile", 0); ok {
			where = path + ".dockerfile"
		}
		l.mistake(where, fmt.Sprintf("Dockerfile of service %s does not exist: %s", s.Name, l.shown(file)), "add it, or name another with dockerfile:")
	}
}

// dockerfile is the absolute path of a build's Dockerfile.
func dockerfile(b *types.BuildConfig) string {
	if filepath.IsAbs(b.Dockerfile) {
		return b.Dockerfile
	}
	return filepath.Join(b.Context, b.Dockerfile)
}

// external checks that nothing but a name describes what is not ours to make.
func (l *projectLoader) external(section, kind, key string, external bool) {
	if !external {
		return
	}
	path := join(section, key)
	for _, other := range []string{"driver", "internal", "ipam", "labels"} {
		if _, ok := l.index.find(join(path, other), 0); ok {
			l.mistake(join(path, other), fmt.Sprintf("%s %s is external and has %s", kind, key, other), "keep one of them: an external "+kind+" is taken as it is")
		}
	}
}

// networks checks subnets, gateways and fixed addresses against each other, and
// external networks and volumes.
func (l *projectLoader) networks(p *types.Project) {
	subnets := map[string][]netip.Prefix{}
	type owned struct {
		key    string
		prefix netip.Prefix
	}
	var all []owned
	for _, key := range sortedKeys(p.Volumes) {
		l.external("volumes", "volume", key, bool(p.Volumes[key].External))
	}
	for _, key := range sortedKeys(p.Networks) {
		l.external("networks", "network", key, bool(p.Networks[key].External))
		for i, pool := range p.Networks[key].Ipam.Config {
			path := fmt.Sprintf("networks.%s.ipam.config[%d]", key, i)
			prefix, err := netip.ParsePrefix(pool.Subnet)
			if err != nil {
				if pool.Gateway != "" {
					l.mistake(path, path+" has a gateway and no subnet", "add subnet:")
				}
				continue
			}
			if gateway, err := netip.ParseAddr(pool.Gateway); err == nil && !prefix.Contains(gateway) {
				l.mistake(path+".gateway", fmt.Sprintf("gateway %s is outside of %s", gateway, prefix), "use an address of the subnet")
			}
			for _, other := range all {
				if other.prefix.Overlaps(prefix) {
					l.mistake(path+".subnet", fmt.Sprintf("subnet %s overlaps %s of network %s", prefix, other.prefix, other.key), "use another range")
				}
			}
			all = append(all, owned{key, prefix})
			subnets[key] = append(subnets[key], prefix)
		}
	}
	l.fixedAddresses(p, subnets)
}

func (l *projectLoader) fixedAddresses(p *types.Project, subnets map[string][]netip.Prefix) {
	taken := map[string]string{}
	for _, service := range sortedKeys(p.Services) {
		for _, key := range sortedKeys(p.Services[service].Networks) {
			n := p.Services[service].Networks[key]
			if n == nil || n.Ipv4Address == "" || p.Networks[key].External {
				continue
			}
			path := fmt.Sprintf("services.%s.networks.%s.ipv4_address", service, key)
			addr, err := netip.ParseAddr(n.Ipv4Address)
			inside := slices.ContainsFunc(subnets[key], func(s netip.Prefix) bool { return s.Contains(addr) })
			switch {
			case err != nil:
			case len(subnets[key]) == 0:
				l.mistake(path, fmt.Sprintf("network %s has no subnet for the address %s", key, addr), fmt.Sprintf("add networks.%s.ipam.config with a subnet", key))
			case !inside:
				l.mistake(path, fmt.Sprintf("address %s is outside of network %s (%s)", addr, key, subnets[key][0]), "use an address of the subnet")
			case taken[key+addr.String()] != "":
				l.mistake(path, fmt.Sprintf("services %s and %s have the address %s", taken[key+addr.String()], service, addr), "change one of them")
			}
			taken[key+addr.String()] = service
		}
	}
}
