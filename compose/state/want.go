package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Options say what part of a project an operation is about, and what the
// settings fill in. The zero value is the whole project as it is written.
type Options struct {
	// Services the user named; none means all that are enabled. A named
	// service of an inactive profile is enabled by that.
	Services []string
	// NoDeps leaves the dependencies of Services alone.
	NoDeps bool
	// Scale overrides numbers of replicas by service.
	Scale map[string]int
	// Defaults come from the settings.
	Defaults Defaults
	// Version of the tool, for a label; it is no part of any identity.
	Version string
}

// Defaults are settings that fill in what the file leaves open.
type Defaults struct {
	// HostIP publishes ports that name no host address; "" is all addresses.
	HostIP string `json:"hostIp,omitempty"`
	// LogMaxSize (bytes of one file) and LogMaxFiles bound logs; zero leaves
	// it to the engine.
	LogMaxSize  int64 `json:"logMaxSize,omitempty"`
	LogMaxFiles int   `json:"logMaxFiles,omitempty"`
}

// Want returns what the project wants. Errors are joined: a *NoSuchServiceError
// per unknown name.
func Want(p *model.Project, o Options) (Desired, error) {
	w := wanter{project: p, options: o, desired: Desired{Project: p.Name, Dir: p.WorkingDir, Known: map[string]bool{}}}
	for name := range p.Services {
		w.desired.Known[name] = true
	}
	for name := range p.Disabled {
		w.desired.Known[name] = true
	}
	modes := w.modes()
	for _, name := range slices.Sorted(maps.Keys(modes)) {
		if s, ok := p.Service(name); ok {
			w.service(s, modes[name])
		}
	}
	w.networks()
	w.volumes()
	if err := errors.Join(w.errs...); err != nil {
		return Desired{}, err
	}
	return w.desired, nil
}

type wanter struct {
	project *model.Project
	options Options
	desired Desired
	errs    []error
}

func (w *wanter) fail(err error) { w.errs = append(w.errs, err) }

// modes says for each service of the operation's model how much it is part.
func (w *wanter) modes() map[string]Mode {
	modes := map[string]Mode{}
	for name := range w.project.Services {
		modes[name] = Other
		if len(w.options.Services) == 0 {
			modes[name] = Selected
		}
	}
	for name := range w.options.Scale {
		if _, ok := w.project.Service(name); !ok {
			w.fail(&NoSuchServiceError{Name: name})
		}
	}
	var need func(name string)
	need = func(name string) {
		s, ok := w.project.Service(name)
		if !ok {
			return
		}
		for _, d := range s.DependsOn {
			_, enabled := w.project.Services[d.Service]
			if modes[d.Service].Active() || (!enabled && !d.Required) {
				continue
			}
			if _, ok := w.project.Service(d.Service); ok {
				modes[d.Service] = Needed
				need(d.Service)
			}
		}
	}
	for _, name := range w.options.Services {
		if _, ok := w.project.Service(name); !ok {
			w.fail(&NoSuchServiceError{Name: name})
			continue
		}
		modes[name] = Selected
	}
	if !w.options.NoDeps {
		for _, name := range w.options.Services {
			need(name)
		}
	}
	return modes
}

func (w *wanter) service(s model.Service, mode Mode) {
	out := Service{
		Name: s.Name, Mode: mode, Scale: s.Scale, NamespaceOwners: s.NamespaceServices(),
		project: w.project.Name, containerName: s.ContainerName, Image: w.image(s),
	}
	if n, ok := w.options.Scale[s.Name]; ok {
		out.Scale = n
	}
	if out.Scale < 0 {
		w.fail(fmt.Errorf("cannot scale service %s: %d replicas", s.Name, out.Scale))
	}
	if s.ContainerName != "" && out.Scale > 1 {
		w.fail(fmt.Errorf("cannot scale service %s to %d: container_name %q must be unique", s.Name, out.Scale, s.ContainerName))
	}
	for _, from := range s.VolumesFrom {
		if from.Service != "" {
			out.VolumeOwners = appendNew(out.VolumeOwners, from.Service)
		}
	}
	for _, d := range s.DependsOn {
		if w.options.NoDeps && len(w.options.Services) > 0 && !slices.Contains(w.options.Services, d.Service) {
			continue
		}
		out.Depends = append(out.Depends, d)
	}
	out.template = w.blueprint(s)
	out.Hash = hash(out.template, s.ContainerName)
	out.template.Labels = withLabels(out.template.Labels, w.labels(s, out.Hash))
	for _, at := range out.template.Networks {
		out.Networks = appendNew(out.Networks, at.Network)
	}
	for _, m := range out.template.Mounts {
		if m.Type == spec.MountVolume && m.Source != "" {
			out.Volumes = appendNew(out.Volumes, m.Source)
		}
	}
	slices.Sort(out.Networks)
	slices.Sort(out.Volumes)
	w.desired.Services = append(w.desired.Services, out)
}

func (w *wanter) labels(s model.Service, hash string) map[string]string {
	return map[string]string{
		LabelProject: w.project.Name, LabelService: s.Name, LabelOneOff: "False",
		LabelHash: hash, LabelDependsOn: dependsLabel(s.DependsOn),
		LabelConfigFiles: joinComma(w.project.ComposeFiles), LabelWorkingDir: w.project.WorkingDir,
		LabelVersion: w.options.Version,
	}
}

func (w *wanter) image(s model.Service) Image {
	image := Image{Reference: w.project.ImageName(s), Named: s.Image != ""}
	var err error
	if image.Policy, image.Refresh, err = pullPolicy(s.PullPolicy); err != nil {
		w.fail(fmt.Errorf("cannot use pull_policy of service %s: %w", s.Name, err))
	}
	if s.Build == nil {
		return image
	}
	b := s.Build
	image.Build = &spec.Build{
		Name: image.Reference, Tags: b.Tags, Context: b.Context, Dockerfile: b.Dockerfile,
		DockerfileInline: b.DockerfileInline, Args: b.Args, Target: b.Target, Labels: w.imageLabels(b.Labels),
		NoCache: b.NoCache, Pull: b.Pull, Network: b.Network, ExtraHosts: extraHosts(b.ExtraHosts),
		NoCacheFilter: b.NoCacheFilter, ShmSize: b.ShmSize, Ulimits: ulimits(b.Ulimits), SSH: b.SSH, Where: b.Where,
	}
	for _, cache := range b.CacheFrom {
		image.Build.CacheFrom = append(image.Build.CacheFrom, spec.BuildCache(cache))
	}
	for _, cache := range b.CacheTo {
		image.Build.CacheTo = append(image.Build.CacheTo, spec.BuildCache(cache))
	}
	for name, source := range b.AdditionalContexts {
		if image.Build.Contexts == nil {
			image.Build.Contexts = map[string]string{}
		}
		if other, ok := strings.CutPrefix(source, model.ServicePrefix); ok {
			o, _ := w.project.Service(other)
			source = "image:" + w.project.ImageName(o)
			image.BuiltOn = appendNew(image.BuiltOn, other)
		}
		image.Build.Contexts[name] = source
	}
	slices.Sort(image.BuiltOn)
	for _, secret := range b.Secrets {
		object := w.project.Secrets[secret.Source]
		if object.Digest == "" {
			w.fail(fmt.Errorf("cannot give secret %s to the build of service %s: its content was not read", secret.Source, s.Name))
			continue
		}
		if image.Build.Secrets == nil {
			image.Build.Secrets = map[string]string{}
		}
		image.Build.Secrets[secret.ID] = object.Digest
	}
	return image
}

// imageLabels are those of a built image: down --rmi finds by the project's name
// what a later build has taken the name from. The service's is not there, so
// that services with one build share its result.
func (w *wanter) imageLabels(own map[string]string) map[string]string {
	return withLabels(own, map[string]string{LabelProject: w.project.Name})
}

// networks gathers the networks that services use.
func (w *wanter) networks() {
	users := w.users(func(s *Service) []string {
		if s.Image.Build == nil {
			return s.Networks
		}
		return appendNew(slices.Clone(s.Networks), s.Image.Build.Network)
	})
	for _, key := range sorted(w.project.Networks) {
		n := w.project.Networks[key]
		if len(users[n.Name]) == 0 {
			continue
		}
		out := Network{Key: key, External: n.External, Where: n.Where, Users: users[n.Name], Spec: spec.Network{
			Name: n.Name, Project: w.project.Name, Driver: n.Driver, Internal: n.Internal,
			Attachable: n.Attachable, EnableIPv6: n.EnableIPv6, DisableIPv4: n.DisableIPv4, Options: n.Options,
		}}
		for _, pool := range n.Subnets {
			out.Spec.Pools = append(out.Spec.Pools, spec.Pool(pool))
		}
		out.Spec.Labels = UserLabels(n.Labels)
		out.Hash = digest(out.Spec)
		out.Spec.Labels = withLabels(n.Labels, map[string]string{
			LabelProject: w.project.Name, LabelNetwork: key, LabelHash: out.Hash, LabelVersion: w.options.Version,
		})
		w.desired.Networks = append(w.desired.Networks, out)
	}
	declared := slices.ContainsFunc(w.desired.Networks, func(n Network) bool { return n.Spec.Name == spec.SharedNetworkName })
	if on := users[spec.SharedNetworkName]; len(on) > 0 && !declared {
		w.desired.Networks = append(w.desired.Networks, Network{
			Key: spec.SharedNetworkName, Shared: true, Users: on, Spec: spec.SharedNetwork(),
		})
	}
	slices.SortFunc(w.desired.Networks, func(a, b Network) int { return compare(a.Spec.Name, b.Spec.Name) })
}

// volumes gathers the named volumes that services use.
func (w *wanter) volumes() {
	users := w.users(func(s *Service) []string { return s.Volumes })
	for _, key := range sorted(w.project.Volumes) {
		v := w.project.Volumes[key]
		if len(users[v.Name]) == 0 {
			continue
		}
		out := Volume{Key: key, External: v.External, Users: users[v.Name], Spec: spec.Volume{
			Name: v.Name, Project: w.project.Name, Driver: v.Driver, Labels: UserLabels(v.Labels), Options: v.Options,
		}, Where: v.Where}
		out.Hash = digest(out.Spec)
		out.Spec.Labels = withLabels(v.Labels, map[string]string{
			LabelProject: w.project.Name, LabelVolume: key, LabelHash: out.Hash, LabelVersion: w.options.Version,
		})
		w.desired.Volumes = append(w.desired.Volumes, out)
	}
	slices.SortFunc(w.desired.Volumes, func(a, b Volume) int { return compare(a.Spec.Name, b.Spec.Name) })
}

// users maps what services use to their names, sorted.
func (w *wanter) users(uses func(*Service) []string) map[string][]string {
	out := map[string][]string{}
	for i := range w.desired.Services {
		s := &w.desired.Services[i]
		for _, name := range uses(s) {
			out[name] = append(out[name], s.Name)
		}
	}
	return out
}
