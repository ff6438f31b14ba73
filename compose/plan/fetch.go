package plan

import (
	"maps"
	"slices"

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

// Pull gets the images of services, each reference once. Images that are only
// built are not asked for, and with Policy missing those present are not.
func Pull(want state.Desired, a state.Actual, o PullOptions) (*Plan, error) {
	p := &Plan{Project: want.Project}
	var steps []Step
	seen := map[string]bool{}
	for i := range want.Services {
		s := &want.Services[i]
		reference := s.Image.Reference
		if !meant(s, o.Dependencies) || seen[reference] ||
			(s.Image.Build != nil && (o.IgnoreBuildable || !s.Image.Named)) {
			continue
		}
		seen[reference] = true
		policy := spec.PullAlways
		if o.Policy == "missing" {
			policy = spec.PullMissing
		}
		step := Step{
			ID: pullID(reference), Kind: PullImage, Target: reference, Service: s.Name, Cause: "asked for",
			Begin: "Pulling", End: "Pulled", Optional: o.IgnoreFailures,
			Pull: &spec.Pull{Reference: reference, Policy: policy},
		}
		if _, present := a.Images[reference]; present && policy == spec.PullMissing {
			step.Begin, step.End, step.Details = "", "Skipped", "Image is already present locally"
		}
		steps = append(steps, step)
	}
	return p, p.finish(steps)
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
}

// Build builds the images of services, each reference once.
func Build(want state.Desired, o BuildOptions) (*Plan, error) {
	p := &Plan{Project: want.Project}
	var steps []Step
	seen := map[string]bool{}
	for i := range want.Services {
		s := &want.Services[i]
		if s.Image.Build == nil || !meant(s, o.Dependencies) || seen[s.Image.Reference] {
			continue
		}
		seen[s.Image.Reference] = true
		build := *s.Image.Build
		build.NoCache = build.NoCache || o.NoCache
		build.Pull = build.Pull || o.Pull
		if len(o.Args) > 0 {
			build.Args = maps.Clone(build.Args)
			if build.Args == nil {
				build.Args = map[string]string{}
			}
			maps.Copy(build.Args, o.Args)
		}
		steps = append(steps, Step{
			ID: buildID(s.Image.Reference), Kind: BuildImage, Target: s.Image.Reference, Service: s.Name,
			Cause: "asked for", Begin: "Building", End: "Built", Build: &build,
		})
	}
	return p, p.finish(steps)
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
