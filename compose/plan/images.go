package plan

import (
	"maps"
	"slices"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// oneOffKey stands for the container of a run command among the services.
const oneOffKey = "\x00run"

// image returns what is known about an image.
func (d *differ) image(reference string) (spec.Image, bool) {
	if image, ok := d.resolved[reference]; ok {
		return image, true
	}
	if _, ok := d.imageSteps[reference]; ok {
		return spec.Image{}, false
	}
	image, ok := d.actual.Images[reference]
	return image, ok
}

// images decides which images must be pulled or built first.
func (d *differ) images() {
	builds := map[string]bool{}
	for i := range d.want.Services {
		s := &d.want.Services[i]
		if d.needsImage(s) && s.Image.Build != nil {
			builds[s.Image.Reference] = true
		}
	}
	var tagged []*state.Service
	for i := range d.want.Services {
		s := &d.want.Services[i]
		switch {
		case !d.needsImage(s) || (s.Image.Build == nil && builds[s.Image.Reference]):
		case s.Image.Build == nil && d.tagger(s.Image.Reference) != nil:
			tagged = append(tagged, s)
		default:
			d.imageStep(s)
		}
	}
	for _, s := range tagged {
		d.awaitTag(s)
	}
	d.commands()
	for i := range d.want.Services {
		s := &d.want.Services[i]
		step, ok := d.imageSteps[s.Image.Reference]
		if _, known := d.image(s.Image.Reference); !ok || known {
			continue
		}
		if s.Mode.Active() && s.Scale > 0 {
			d.pending[s.Name] = []string{step}
		}
		if d.want.OneOff != nil && d.want.OneOff.Service == s.Name {
			d.pending[oneOffKey] = []string{step}
		}
	}
}

// tagger is the service whose build makes the image by its tags, or nil.
func (d *differ) tagger(reference string) *state.Service {
	for i := range d.want.Services {
		s := &d.want.Services[i]
		if d.needsImage(s) && s.Image.Build != nil && d.policy.Build != "never" &&
			slices.ContainsFunc(s.Image.Build.Tags, func(tag string) bool { return state.SameImage(tag, reference) }) {
			return s
		}
	}
	return nil
}

// awaitTag lets a service wait for the build that makes its image by a tag,
// whatever its own pull policy says.
func (d *differ) awaitTag(s *state.Service) {
	reference, by := s.Image.Reference, d.tagger(s.Image.Reference)
	if _, present := d.actual.Images[reference]; !present && d.imageSteps[by.Image.Reference] == "" {
		d.addBuild(by, "no image "+reference+" here")
	}
	if step := d.imageSteps[by.Image.Reference]; step != "" {
		d.imageSteps[reference] = step
	}
}

// commands refuses what has nothing to execute, as soon as its image is known.
func (d *differ) commands() {
	check := func(service string, b spec.Blueprint) {
		image, known := d.image(b.Image)
		if known && len(image.Config.Arguments(b)) == 0 {
			d.errs = append(d.errs, spec.Errorf(spec.ErrInvalid,
				"cannot create service %s: no command specified: image %s has neither command nor entrypoint", service, b.Image))
		}
	}
	for i := range d.want.Services {
		s := &d.want.Services[i]
		if s.Mode.Active() && s.Scale > 0 {
			check(s.Name, s.Replica(1))
		}
	}
	if one := d.want.OneOff; one != nil {
		check(one.Service, one.Blueprint)
	}
}

func (d *differ) needsImage(s *state.Service) bool {
	return (s.Mode.Active() && s.Scale > 0) || (d.want.OneOff != nil && d.want.OneOff.Service == s.Name)
}

// imageStep adds the step that gets a service's image, if one is needed.
func (d *differ) imageStep(s *state.Service) {
	reference := s.Image.Reference
	if d.imageSteps[reference] != "" {
		return
	}
	_, present := d.actual.Images[reference]
	policy := s.Image.Policy
	if d.policy.Pull != "" {
		policy = d.policy.Pull
	}
	build := s.Image.Build != nil && d.policy.Build != "never"
	pull := s.Image.Build == nil || s.Image.Named
	switch {
	case build && (d.policy.Build == "always" || policy == "build" || (!present && !pullsFirst(s, policy))):
		cause := "no such image here"
		if present {
			cause = "asked for"
		}
		d.addBuild(s, cause)
	case policy == "always" && pull:
		d.addPull(s, "pull policy always", spec.PullAlways, build)
	case policy == "refresh" && pull && present && d.stale(s):
		d.addPull(s, "pulled more than "+s.Image.Refresh.String()+" ago", spec.PullAlways, build)
	case !present && policy != "never" && policy != "build" && pull:
		d.addPull(s, "no such image here", spec.PullMissing, build)
	case !present:
		d.errs = append(d.errs, spec.Errorf(spec.ErrImageMissing, "cannot create service %s: No such image: %s", s.Name, reference))
	}
}

// stale reports whether a registry was asked longer ago than the policy of a
// service allows. An image that no registry was asked for counts from its making.
func (d *differ) stale(s *state.Service) bool {
	image := d.actual.Images[s.Image.Reference]
	asked := image.PulledAt
	if asked.IsZero() {
		asked = image.CreatedAt
	}
	return d.actual.At.Sub(asked) > s.Image.Refresh
}

// pullsFirst: a service with both image and build asks a registry first, and is
// built if that has none (compose-spec build.md, "Using build and image").
func pullsFirst(s *state.Service, policy string) bool {
	return s.Image.Named && policy != "never"
}

func (d *differ) addBuild(s *state.Service, cause string) {
	id := buildID(s.Image.Reference)
	d.imageSteps[s.Image.Reference] = id
	d.steps = append(d.steps, Step{
		ID: id, Kind: BuildImage, Target: s.Image.Reference, Service: s.Name, Cause: cause,
		Begin: "Building", End: "Built", Build: s.Image.Build, After: d.beforeBuild(s),
	})
}

// beforeBuild are the steps that a build waits for: of its network, and of the
// images that it takes as contexts. finish drops those that are not needed.
func (d *differ) beforeBuild(s *state.Service) []string {
	after := []string{networkID(s.Image.Build.Network)}
	for _, name := range s.Image.BuiltOn {
		other := d.want.Service(name)
		if other == nil {
			continue
		}
		d.imageStep(other)
		if step := d.imageSteps[other.Image.Reference]; step != "" {
			after = append(after, step)
		}
	}
	return after
}

// buildsOn reports whether a build step runs on a network.
func (d *differ) buildsOn(network string) bool {
	return slices.ContainsFunc(d.steps, func(s Step) bool { return s.Build != nil && s.Build.Network == network })
}

func (d *differ) addPull(s *state.Service, cause string, policy spec.PullPolicy, build bool) {
	id := pullID(s.Image.Reference)
	d.imageSteps[s.Image.Reference] = id
	step := Step{
		ID: id, Kind: PullImage, Target: s.Image.Reference, Service: s.Name, Cause: cause,
		Begin: "Pulling", End: "Pulled", Pull: &spec.Pull{Reference: s.Image.Reference, Policy: policy},
	}
	if build {
		step.Build, step.After = s.Image.Build, d.beforeBuild(s)
	}
	d.steps = append(d.steps, step)
}

// inheritVolumes lets a recreated container keep the anonymous volumes of the
// old one, at targets where the new one wants nothing else.
func inheritVolumes(b *spec.Blueprint, old spec.Container, renew bool) {
	if renew {
		return
	}
	b.Mounts = slices.Clone(b.Mounts)
	for _, target := range slices.Sorted(maps.Keys(old.Status.Volumes)) {
		name := old.Status.Volumes[target]
		if !anonymous(name) {
			continue
		}
		i := slices.IndexFunc(b.Mounts, func(m spec.Mount) bool { return m.Target == target })
		switch {
		case i < 0:
			b.Mounts = append(b.Mounts, spec.Mount{Type: spec.MountVolume, Source: name, Target: target})
		case b.Mounts[i].Type == spec.MountVolume && b.Mounts[i].Source == "":
			b.Mounts[i].Source = name
		}
	}
}

// anonymous reports whether a volume's name is one that the engine made up: 64
// hex digits.
func anonymous(name string) bool {
	if len(name) != 64 {
		return false
	}
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
