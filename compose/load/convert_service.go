package load

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

func (c *converter) service(p *types.Project, s types.ServiceConfig) model.Service {
	path := "services." + s.Name
	out := model.Service{
		Name:          s.Name,
		Image:         s.Image,
		Build:         c.build(p, s.Name, s.Build),
		PullPolicy:    s.PullPolicy,
		Scale:         s.GetScale(),
		ContainerName: s.ContainerName,
		Hostname:      s.Hostname,
		Domainname:    s.DomainName,
		Labels:        copyMap(s.Labels),
		Profiles:      slices.Clone(s.Profiles),

		Command:    s.Command,
		Entrypoint: s.Entrypoint,
		WorkingDir: s.WorkingDir,
		User:       s.User,
		GroupAdd:   slices.Clone(s.GroupAdd),
		Init:       s.Init != nil && *s.Init,
		TTY:        s.Tty,
		StdinOpen:  s.StdinOpen,
		StopSignal: s.StopSignal,
		Ulimits:    ulimits(s.Ulimits),

		Privileged: s.Privileged,
		CapAdd:     slices.Clone(s.CapAdd),
		CapDrop:    slices.Clone(s.CapDrop),
		ReadOnly:   s.ReadOnly,
		Sysctls:    copyMap(s.Sysctls),

		Devices:     devices(s.Devices),
		DeviceRules: slices.Clone(s.DeviceCgroupRules),
		OOMScoreAdj: oomScore(s.OomScoreAdj),
		HostPID:     s.Pid == hostNamespace,
		HostIPC:     s.Ipc == hostNamespace,
		HostUTS:     s.Uts == hostNamespace,
		PIDMode:     pidMode(s.Pid),

		Mounts:      mounts(s),
		VolumesFrom: volumesFrom(s.VolumesFrom),
		Configs:     configRefs(s.Configs),
		Secrets:     secretRefs(s.Secrets),

		NetworkMode: s.NetworkMode,
		Networks:    attachments(s),
		Links:       links(slices.Concat(s.ExternalLinks, s.Links)),
		Ports:       ports(s.Ports),
		Expose:      exposedPorts(s.Expose),
		DNS:         slices.Clone(s.DNS),
		DNSSearch:   slices.Clone(s.DNSSearch),
		DNSOpt:      slices.Clone(s.DNSOpts),
		ExtraHosts:  extraHosts(s.ExtraHosts),

		Resources:   resources(s),
		Restart:     restart(s),
		DependsOn:   dependencies(s.DependsOn),
		Healthcheck: healthcheck(s.HealthCheck),
		Logging:     logging(s.Logging),
		PostStart:   hooks(s.PostStart),
		PreStop:     hooks(s.PreStop),
		NoAttach:    s.Attach != nil && !*s.Attach,
		Watch:       watch(s.Develop),
		Extensions:  c.extensions(path, s.Extensions),
	}
	out.Environment, out.Unset = environment(s.Environment)
	out.NoNewPrivileges, out.SeccompUnconfined = security(s.SecurityOpt)
	if s.StopGracePeriod != nil {
		d := time.Duration(*s.StopGracePeriod)
		out.StopGracePeriod = &d
	}
	return out
}

// pidMode is the pid namespace of another, or "".
func pidMode(text string) string {
	if text == hostNamespace {
		return ""
	}
	return text
}

// environment splits variables with a value from names that only take one away.
func environment(env types.MappingWithEquals) (set map[string]string, unset []string) {
	for _, name := range sortedKeys(env) {
		if value := env[name]; value == nil {
			unset = append(unset, name)
		} else {
			if set == nil {
				set = map[string]string{}
			}
			set[name] = *value
		}
	}
	return set, unset
}

// security reads security_opt. AppArmor and SELinux labels are never applied by
// us, so that switching them off is fulfilled as it stands.
func security(opts []string) (noNewPrivileges, seccompUnconfined bool) {
	for _, opt := range opts {
		switch strings.Replace(opt, ":", "=", 1) {
		case "no-new-privileges", "no-new-privileges=true":
			noNewPrivileges = true
		case "no-new-privileges=false":
			noNewPrivileges = false
		case "seccomp=unconfined":
			seccompUnconfined = true
		}
	}
	return noNewPrivileges, seccompUnconfined
}

func ulimits(limits map[string]*types.UlimitsConfig) []model.Ulimit {
	var out []model.Ulimit
	for _, name := range sortedKeys(limits) {
		u := limits[name]
		limit := model.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			limit.Soft, limit.Hard = int64(u.Single), int64(u.Single)
		}
		out = append(out, limit)
	}
	return out
}

// resources joins the service's own keys with deploy.resources; relate has
// checked that they do not differ.
func resources(s types.ServiceConfig) model.Resources {
	out := model.Resources{
		NanoCPUs:          nanoCPUs(s.CPUS),
		CPUQuota:          max(s.CPUQuota, 0), // -1 is no limit
		CPUPeriod:         s.CPUPeriod,
		CPUShares:         s.CPUShares,
		CPUSet:            s.CPUSet,
		Memory:            int64(s.MemLimit),
		MemorySwap:        int64(s.MemSwapLimit),
		MemoryReservation: int64(s.MemReservation),
		ShmSize:           int64(s.ShmSize),
		Pids:              s.PidsLimit,
		BlockIO:           blockIO(s.BlkioConfig),
	}
	if s.Deploy == nil {
		return out
	}
	if r := s.Deploy.Resources.Limits; r != nil {
		out.NanoCPUs = cmp.Or(out.NanoCPUs, nanoCPUs(r.NanoCPUs.Value()))
		out.Memory = cmp.Or(out.Memory, int64(r.MemoryBytes))
		out.Pids = cmp.Or(out.Pids, r.Pids)
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		out.MemoryReservation = cmp.Or(out.MemoryReservation, int64(r.MemoryBytes))
	}
	return out
}

// nanoCPUs rounds to millionths: compose-go keeps processors in 32-bit floats,
// which do not hold 0.1.
func nanoCPUs(cpus float32) int64 { return int64(math.Round(float64(cpus)*1e6)) * 1000 }

// restart joins restart with deploy.restart_policy, which wins as in docker
// compose.
func restart(s types.ServiceConfig) model.Restart {
	policy, count, _ := strings.Cut(s.Restart, ":")
	retries, _ := strconv.Atoi(count)
	out := model.Restart{Policy: policy, MaxRetries: retries}
	if s.Deploy == nil || s.Deploy.RestartPolicy == nil {
		return out
	}
	r := s.Deploy.RestartPolicy
	switch r.Condition {
	case "none":
		out.Policy = "no"
	case "on-failure":
		out.Policy = "on-failure"
	default:
		out.Policy = "always"
	}
	out.MaxRetries = 0
	if r.MaxAttempts != nil {
		out.MaxRetries = int(*r.MaxAttempts)
	}
	if r.Delay != nil {
		out.Delay = time.Duration(*r.Delay)
	}
	if r.Window != nil {
		out.Window = time.Duration(*r.Window)
	}
	return out
}

func dependencies(on types.DependsOnConfig) []model.Dependency {
	var out []model.Dependency
	for _, name := range sortedKeys(on) {
		d := on[name]
		condition := model.Condition(d.Condition)
		if condition == "" {
			condition = model.Started
		}
		out = append(out, model.Dependency{Service: name, Condition: condition, Required: d.Required, Restart: d.Restart})
	}
	return out
}

func healthcheck(h *types.HealthCheckConfig) *model.Healthcheck {
	if h == nil {
		return nil
	}
	if h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE" {
		return &model.Healthcheck{Disable: true}
	}
	out := &model.Healthcheck{
		Test:          h.Test,
		Interval:      duration(h.Interval),
		Timeout:       duration(h.Timeout),
		StartPeriod:   duration(h.StartPeriod),
		StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func logging(l *types.LoggingConfig) *model.Logging {
	if l == nil {
		return nil
	}
	out := &model.Logging{Driver: l.Driver}
	if size, ok := l.Options["max-size"]; ok {
		out.MaxSize, _ = parseSize(size)
	}
	out.MaxFile, _ = strconv.Atoi(l.Options["max-file"])
	return out
}

func watch(d *types.DevelopConfig) []model.WatchRule {
	if d == nil {
		return nil
	}
	var out []model.WatchRule
	for _, t := range d.Watch {
		rule := model.WatchRule{
			Path:        t.Path,
			Action:      string(t.Action),
			Target:      t.Target,
			Ignore:      t.Ignore,
			Include:     t.Include,
			InitialSync: t.InitialSync,
		}
		if len(t.Exec.Command) > 0 {
			exec := hook(t.Exec)
			rule.Exec = &exec
		}
		out = append(out, rule)
	}
	return out
}

func hook(h types.ServiceHook) model.Hook {
	set, _ := environment(h.Environment)
	return model.Hook{Command: h.Command, User: h.User, Privileged: h.Privileged, WorkingDir: h.WorkingDir, Environment: set}
}

func hooks(list []types.ServiceHook) []model.Hook {
	var out []model.Hook
	for _, h := range list {
		out = append(out, hook(h))
	}
	return out
}
