package load

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

// Options is what a command was given. Dir and Env are required.
type Options struct {
	// Dir is the absolute folder in which the command runs.
	Dir string `json:"dir"`
	// Files are the values of -f, relative to Dir; "-" is Stdin. Empty: from
	// COMPOSE_FILE, else looked for in Dir and the folders above.
	Files []string `json:"files,omitempty"`
	// Stdin is read if Files holds "-".
	Stdin io.Reader `json:"-"`
	// ProjectName is the value of -p.
	ProjectName string `json:"project_name,omitempty"`
	// Profiles are the values of --profile.
	Profiles []string `json:"profiles,omitempty"`
	// EnvFiles are the values of --env-file, relative to Dir.
	EnvFiles []string `json:"env_files,omitempty"`
	// ProjectDir is the value of --project-directory, relative to Dir.
	ProjectDir string `json:"project_dir,omitempty"`
	// Enable names services that the command was given; their profiles are
	// switched on. Unknown names are the caller's to report.
	Enable []string `json:"enable,omitempty"`
	// Env is the environment of the command.
	Env map[string]string `json:"-"`
	// Build identifies the running binary: inputs kept by another one are stale.
	Build string `json:"build,omitempty"`
}

// Result is a loaded project and what it was made from.
type Result struct {
	Project *model.Project
	// Contents holds the bytes of configs and secrets by model.Object.Digest.
	Contents map[string][]byte
	// Inputs is everything the result depends on.
	Inputs *Inputs
	// Warnings are for the user, in the order found, without prefix.
	Warnings []string
	// Positions finds the place of a key path, for refusals that come later.
	Positions Positions

	merged *types.Project
	env    map[string]string
	// quote adds lines of the files to later refusals.
	quote func(error) error
	// explain holds on to the parsed files.
	explain func(name string) Variable
}

// Load finds, checks and resolves a project. A mistake in the input gives
// Errors; ErrNoFile if there is nothing to load. The result of a load that
// failed has only Warnings.
func Load(ctx context.Context, opts Options) (*Result, error) {
	l := newLoader(opts)
	result, err := l.load(ctx)
	if err != nil {
		return &Result{Warnings: l.warnings.list}, l.quote(err)
	}
	return result, nil
}

// quote adds the lines that mistakes stand in.
func (l *projectLoader) quote(err error) error {
	list, ok := err.(Errors)
	if !ok {
		return err
	}
	lines := map[string][]string{}
	for _, f := range l.opened {
		lines[f.shown] = strings.Split(string(f.data), "\n")
	}
	for i := range list {
		if all := lines[list[i].File]; list[i].Line > 0 && list[i].Line <= len(all) {
			list[i].Source = strings.TrimSuffix(all[list[i].Line-1], "\r")
		}
	}
	return list
}

func (l *projectLoader) load(ctx context.Context) (*Result, error) {
	if err := l.find(); err != nil {
		return nil, err
	}
	l.check()
	project := l.merge(ctx)
	if project != nil {
		l.relate(project)
		project = l.resolveEnvironment(project)
	}
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	if project == nil {
		return nil, fmt.Errorf("cannot load project in %s: nothing to merge", l.opts.Dir)
	}
	result := &Result{
		Contents:  map[string][]byte{},
		Warnings:  l.warnings.list,
		Positions: l.index,
		merged:    project,
		quote:     l.quote,
		env:       l.env,
	}
	result.Project = l.convert(project, result.Contents)
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	result.Inputs = l.inputs.finish(l.opts)
	result.explain = func(name string) Variable { return l.explain(result, name) }
	return result, nil
}
