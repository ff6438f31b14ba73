package load

import (
	"fmt"
	"os"
	gopath "path"
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
	l.modeExcludes(s)
	l.attachedOnce(s)
	l.loopbackIsSaid(s)
	if s.HealthCheck != nil {
		l.healthTest(path+".healthcheck.test", s.HealthCheck.Test)
	}
	if len(s.Ports) > 0 {
		l.portsNeedNetwork(s)
	}
	l.sharesHost(s)
	l.blockIsWhole(s)
	l.replicas(s)
	l.limits(s)
	l.mountTargets(s)
	l.hookCommands(path+".post_start", s.PostStart)
	l.hookCommands(path+".pre_stop", s.PreStop)
	if s.Develop != nil {
		for i, rule := range s.Develop.Watch {
			l.watchRule(s, fmt.Sprintf("%s.develop.watch[%d]", path, i), rule)
		}
	}
}

// hookCommands checks that each hook says what to run.
func (l *projectLoader) hookCommands(path string, hooks []types.ServiceHook) {
	for i, hook := range hooks {
		if at := fmt.Sprintf("%s[%d]", path, i); len(hook.Command) == 0 {
			l.mistake(at+".command", at+" has no command", "write one, as text or as a list")
		}
	}
}

// healthTest checks the command of a healthcheck. Without one the image's own
// is taken.
func (l *projectLoader) healthTest(path string, test []string) {
	_, given := l.index.find(path, 0)
	switch {
	case len(test) == 0 && !given, len(test) > 0 && test[0] == "NONE":
	case len(test) == 0, len(test) == 1 && (test[0] == "CMD" || test[0] == "CMD-SHELL"), len(test) > 1 && strings.TrimSpace(test[1]) == "":
		l.mistake(path, path+" has no command", "write one, leave the key out for the image's own, or disable: true")
	case test[0] != "CMD" && test[0] != "CMD-SHELL":
		l.mistake(path, fmt.Sprintf("%s begins with %q", path, test[0]), "begin the list with CMD or CMD-SHELL, or write one text")
	}
}

// portsNeedNetwork checks published ports against a network mode in which
// nothing can be published.
func (l *projectLoader) portsNeedNetwork(s types.ServiceConfig) {
	path := "services." + s.Name + ".ports"
	owner, shares := strings.CutPrefix(s.NetworkMode, types.ContainerPrefix)
	switch {
	case s.NetworkMode == "host":
		l.mistake(path, fmt.Sprintf("service %s has network_mode: host and publishes ports", s.Name), "take ports away: what the service listens on is open on the host as it is")
	case s.NetworkMode == "none":
		l.mistake(path, fmt.Sprintf("service %s has network_mode: none and publishes ports", s.Name), "take ports away, or network_mode")
	case shares:
		l.mistake(path, fmt.Sprintf("service %s publishes ports in the network of container %s", s.Name, owner), "publish them at that container")
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
	reserved := s.MemReservation
	if reserved == 0 && s.Deploy != nil && s.Deploy.Resources.Reservations != nil {
		reserved = s.Deploy.Resources.Reservations.MemoryBytes
	}
	if memory > 0 && reserved > memory {
		where := path + ".mem_reservation"
		if s.MemReservation == 0 {
			where = path + ".deploy.resources.reservations.memory"
		}
		l.mistake(where, fmt.Sprintf("service %s reserves more memory than its limit", s.Name), "lower it, or raise the limit")
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
		target = gopath.Clean(target)
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
	case s.Build.Context == "":
		l.mistake(where, fmt.Sprintf("build context of service %s is empty", s.Name), "name a folder, such as .")
		return
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
	for _, other := range []string{"driver", "driver_opts", "internal", "attachable", "enable_ipv4", "enable_ipv6", "ipam.driver", "ipam.config", "labels"} {
		if _, ok := l.index.find(join(path, other), 0); ok {
			l.mistake(join(path, other), fmt.Sprintf("%s %s is external and has %s", kind, key, other), "keep one of them: an external "+kind+" is taken as it is")
		}
	}
}
