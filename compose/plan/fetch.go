package plan

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// PullOptions say how far a pull goes.
type PullOptions struct {
	// Policy is "" or "always": ask the registry; or "missing".
	Policy string
	// IgnoreBuildable skips services that can be built.
	IgnoreBuildable bool
	// IgnoreFailures goes on after an image that cannot be pulled.
	IgnoreFailures bool
	// Dependencies pulls for needed services too.
	Dependencies bool
}

// Pull gets the images of services, each reference once, as the pull policy of
// each service says. What is not asked for is a step that only says why.
func Pull(want state.Desired, a state.Actual, o PullOptions) (*Plan, error) {
	p := &Plan{Project: want.Project}
	var steps []Step
	seen := map[string]bool{}
	for i := range want.Services {
		s := &want.Services[i]
		reference := s.Image.Reference
		if !meant(s, o.Dependencies) || seen[reference] {
			continue
		}
		seen[reference] = true
		step := Step{
			ID: pullID(reference), Kind: PullImage, Target: reference, Service: s.Name, Cause: "asked for",
			Begin: "Pulling", End: "Pulled", Optional: o.IgnoreFailures,
			Pull: &spec.Pull{Reference: reference, Policy: spec.PullAlways},
		}
		if skip, why := skipsPull(s, a, o); skip {
			step.Begin, step.End, step.Details, step.Pull = "", "Skipped", why, nil
		}
		steps = append(steps, step)
	}
	return p, p.finish(steps)
}

// skipsPull reports whether `pull` leaves a service's image alone, and why.
func skipsPull(s *state.Service, a state.Actual, o PullOptions) (skip bool, why string) {
	policy := s.Image.Policy
	if o.Policy != "" {
		policy = o.Policy
	}
	_, present := a.Images[s.Image.Reference]
	switch {
	case s.Image.Build != nil && !s.Image.Named:
		return true, "No image to be pulled"
	case policy == "never" || policy == "build":
		return true, ""
	case policy == "missing" && present && !state.SameImage(s.Image.Reference, withoutTag(s.Image.Reference)):
		return true, "Image is already present locally"
	case s.Image.Build != nil && o.IgnoreBuildable:
		return true, "Image can be built"
	}
	return false, ""
}

// withoutTag is a reference without tag and digest: the same image as with the
// tag latest, which `pull` always asks for anew.
func withoutTag(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at]
	}
	return name
}

// PushOptions say how far a push goes.
type PushOptions struct {
	// IgnoreFailures goes on after an image that cannot be pushed.
	IgnoreFailures bool
	// Dependencies pushes those of needed services too.
	Dependencies bool
}

// Push sends the images that services build and name to their registries, with
// all their tags, each once. Others are a step that only says that they are not.
func Push(want state.Desired, o PushOptions) (*Plan, error) {
	p := &Plan{Project: want.Project}
	var steps []Step
	seen := map[string]bool{}
	for i := range want.Services {
		s := &want.Services[i]
		if !meant(s, o.Dependencies) || seen[s.Image.Reference] {
			continue
		}
		seen[s.Image.Reference] = true
		if s.Image.Build == nil || !s.Image.Named {
			steps = append(steps, Step{
				ID: pushID(s.Image.Reference), Kind: PushImage, Target: s.Image.Reference, Service: s.Name, Cause: "asked for", End: "Skipped",
			})
			continue
		}
		steps = append(steps, pushes(s, o.IgnoreFailures)...)
	}
	return p, p.finish(steps)
}

// pushes sends what a service builds, once it is built.
func pushes(s *state.Service, optional bool) []Step {
	var steps []Step
	for _, reference := range append([]string{s.Image.Reference}, s.Image.Build.Tags...) {
		steps = append(steps, Step{
			ID: pushID(reference), Kind: PushImage, Target: reference, Service: s.Name, Cause: "asked for",
			Begin: "Pushing", End: "Pushed", Optional: optional, Push: &spec.Push{Reference: reference},
			After: []string{buildID(s.Image.Reference)},
		})
	}
	return steps
}

// BuildOptions say how images are built.
type BuildOptions struct {
	NoCache bool
	// Pull asks the registry for base images also when they are there.
	Pull bool
	// Args come over those of the file.
	Args map[string]string
	// Dependencies builds for needed services too.
	Dependencies bool
	// SSH come over those of the file: id to an agent's socket or a key's file.
	SSH map[string]string
	// Push sends what was built and has a name to its registry.
	Push bool
}

// Build builds the images of services, each reference once, those that they are
// built on first, and makes the networks that builds run on.
func Build(want state.Desired, a state.Actual, o BuildOptions) (*Plan, error) {
	b := &buildPlan{want: want, actual: a, options: o, seen: map[string]bool{}}
	for i := range want.Services {
		if s := &want.Services[i]; meant(s, o.Dependencies) {
			b.add(s)
		}
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	p := &Plan{Project: want.Project}
	return p, p.finish(b.steps)
}

type buildPlan struct {
	want    state.Desired
	actual  state.Actual
	options BuildOptions
	seen    map[string]bool // references and networks that have their step
	steps   []Step
	errs    []error
}

// add adds the build of a service, after what it needs. An image that is only
// pulled is the build's own to bring here.
func (b *buildPlan) add(s *state.Service) {
	if s.Image.Build == nil || b.seen[s.Image.Reference] {
		return
	}
	b.seen[s.Image.Reference] = true
	build := *s.Image.Build
	build.NoCache = build.NoCache || b.options.NoCache
	build.Pull = build.Pull || b.options.Pull
	build.Args = joined(build.Args, b.options.Args)
	build.SSH = joined(build.SSH, b.options.SSH)
	after := []string{b.network(build.Network)}
	for _, name := range s.Image.BuiltOn {
		if other := b.want.Service(name); other != nil {
			b.add(other)
			after = append(after, buildID(other.Image.Reference), b.pull(other))
		}
	}
	b.steps = append(b.steps, Step{
		ID: buildID(s.Image.Reference), Kind: BuildImage, Target: s.Image.Reference, Service: s.Name,
		Cause: "asked for", Begin: "Building", End: "Built", Build: &build, After: after,
	})
	if b.options.Push && s.Image.Named {
		b.steps = append(b.steps, pushes(s, false)...)
	}
}

// joined is a map with the entries of another over its own.
func joined(own, over map[string]string) map[string]string {
	if len(over) == 0 {
		return own
	}
	out := maps.Clone(over)
	for name, value := range own {
		if _, there := over[name]; !there {
			out[name] = value
		}
	}
	return out
}

// pull gets the image of a service that another's build needs and nobody builds.
func (b *buildPlan) pull(s *state.Service) string {
	reference := s.Image.Reference
	if _, here := b.actual.Images[reference]; here || s.Image.Build != nil || b.seen[reference] {
		return pullID(reference)
	}
	b.seen[reference] = true
	b.steps = append(b.steps, Step{
		ID: pullID(reference), Kind: PullImage, Target: reference, Service: s.Name, Cause: "another image is built on it",
		Begin: "Pulling", End: "Pulled", Pull: &spec.Pull{Reference: reference, Policy: spec.PullMissing},
	})
	return pullID(reference)
}

// network makes a network of the project that a build runs on, if it is not
// there, and returns the id of its step.
func (b *buildPlan) network(name string) string {
	i := slices.IndexFunc(b.want.Networks, func(n state.Network) bool { return n.Spec.Name == name })
	if _, here := b.actual.Networks[name]; i < 0 || here || b.seen["network "+name] {
		return networkID(name)
	}
	b.seen["network "+name] = true
	if b.want.Networks[i].External {
		b.errs = append(b.errs, noNetwork(&b.want.Networks[i]))
		return networkID(name)
	}
	b.steps = append(b.steps, createNetwork(&b.want.Networks[i]))
	return networkID(name)
}

func meant(s *state.Service, dependencies bool) bool {
	return s.Mode == state.Selected || (dependencies && s.Mode == state.Needed)
}

// Images returns the references that the plan pulls or builds, sorted.
func (p *Plan) Images() []string {
	var out []string
	for i := range p.Steps {
		if p.Steps[i].Kind == PullImage || p.Steps[i].Kind == BuildImage {
			out = append(out, p.Steps[i].Target)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
