package state

import (
	"maps"
	"slices"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Run says how a one-off container differs from its service. Zero values keep
// what the service has.
type Run struct {
	Service string `json:"service"`
	// Slug is 64 hex digits that make the container's name unique; the same
	// slug means the same container.
	Slug string `json:"slug"`
	// Name replaces <project>-<service>-run-<12 hex>.
	Name        string            `json:"name,omitempty"`
	Command     []string          `json:"command"`
	Entrypoint  []string          `json:"entrypoint"`
	Environment map[string]string `json:"environment,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	User        string            `json:"user,omitempty"`
	WorkingDir  string            `json:"workingDir,omitempty"`
	CapAdd      []string          `json:"capAdd,omitempty"`
	CapDrop     []string          `json:"capDrop,omitempty"`
	Terminal    bool              `json:"terminal,omitempty"`
	Stdin       bool              `json:"stdin,omitempty"`
	Ports       []spec.Port       `json:"ports,omitempty"`
	Mounts      []spec.Mount      `json:"mounts,omitempty"`
	// ServicePorts publishes the service's ports, UseAliases gives it the
	// service's names on its networks.
	ServicePorts bool `json:"servicePorts,omitempty"`
	UseAliases   bool `json:"useAliases,omitempty"`
	// Remove takes the container away when it has ended.
	Remove bool `json:"remove,omitempty"`
	// Start starts it; otherwise it is left created.
	Start bool `json:"start,omitempty"`
}

// WantRun returns what a run command wants: the dependencies of the service
// (none with o.NoDeps) and the one-off container. o.Services is not read. The
// service itself is Other: a run leaves its replicas alone.
func WantRun(p *model.Project, r Run, o Options) (Desired, error) {
	o.Services = []string{r.Service}
	d, err := Want(p, o)
	if err != nil {
		return Desired{}, err
	}
	s := d.Service(r.Service)
	s.Mode = Other
	d.OneOff = &OneOff{Service: r.Service, Blueprint: s.oneOff(r), Start: r.Start}
	return d, nil
}

func (s *Service) oneOff(r Run) spec.Blueprint {
	b := s.template
	b.Name = r.Name
	if b.Name == "" {
		b.Name = s.project + "-" + s.Name + "-run-" + r.Slug[:min(12, len(r.Slug))]
	}
	b.Labels = withLabels(b.Labels, r.Labels)
	b.Labels[LabelOneOff], b.Labels[LabelSlug] = "True", r.Slug
	if r.Remove {
		b.Labels[LabelRemove] = "true"
	}
	if r.Entrypoint != nil {
		b.Entrypoint, b.Command = r.Entrypoint, r.Command
	}
	if len(r.Command) > 0 {
		b.Command = r.Command
	}
	if len(r.Environment) > 0 {
		b.Environment = withLabels(b.Environment, r.Environment)
		b.Unset = slices.DeleteFunc(slices.Clone(b.Unset), func(name string) bool {
			_, set := r.Environment[name]
			return set
		})
	}
	if r.User != "" {
		b.User = r.User
	}
	if r.WorkingDir != "" {
		b.WorkingDir = r.WorkingDir
	}
	b.CapAdd = appendNew(slices.Clone(b.CapAdd), r.CapAdd...)
	b.CapDrop = appendNew(slices.Clone(b.CapDrop), r.CapDrop...)
	b.Terminal, b.StdinOpen = r.Terminal, r.Stdin
	if !r.ServicePorts {
		b.Ports = nil
	}
	b.Ports = append(slices.Clone(b.Ports), r.Ports...)
	b.Mounts = replaceMounts(b.Mounts, r.Mounts)
	b.Restart, b.PreStop = spec.Restart{}, nil
	b.Networks = slices.Clone(b.Networks)
	for i := range b.Networks {
		at := &b.Networks[i]
		if !r.UseAliases {
			at.Aliases = nil
		}
		at.IPv4Address = ""
		at.Aliases = appendNew(slices.Clone(at.Aliases), b.Name)
	}
	return b
}

// replaceMounts puts mounts over those with the same target.
func replaceMounts(have, more []spec.Mount) []spec.Mount {
	taken := map[string]bool{}
	for _, m := range more {
		taken[m.Target] = true
	}
	out := slices.DeleteFunc(slices.Clone(have), func(m spec.Mount) bool { return taken[m.Target] })
	return append(out, more...)
}

// Contents returns the digests of all configs and secrets that the project
// uses, sorted: what must be kept beside the model.
func Contents(p *model.Project) []string {
	digests := map[string]bool{}
	for _, objects := range []map[string]model.Object{p.Configs, p.Secrets} {
		for _, object := range objects {
			if object.Digest != "" {
				digests[object.Digest] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(digests))
}
