package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/compose-spec/compose-go/v2/loader"

	"github.com/mycompose/mycompose/compose/model"
)

// View says what stays as the files have it when a project is shown. The zero
// value is the resolved project.
type View struct {
	// KeepMistakes shows what has mistakes, too.
	KeepMistakes bool
	// KeepForm leaves out what is filled in: names, the default network,
	// dependencies that other keys imply.
	KeepForm bool
	// KeepPaths leaves relative paths relative.
	KeepPaths bool
	// KeepEnvironment leaves env_file, and variables without a value, as they are.
	KeepEnvironment bool
}

// apply tells compose-go.
func (v View) apply(o *loader.Options) {
	o.SkipNormalization = v.KeepForm
	o.ResolvePaths = !v.KeepPaths
}

// LoadView is Load for a Result that is only printed, by YAML and JSON.
func LoadView(ctx context.Context, opts Options, v View) (*Result, error) {
	again := opts.Stdin
	if slices.Contains(opts.Files, "-") && opts.Stdin != nil && !v.KeepMistakes { // read twice
		text, err := io.ReadAll(opts.Stdin)
		if err != nil {
			return &Result{}, fmt.Errorf("cannot read the compose file from standard input: %w", err)
		}
		opts.Stdin, again = bytes.NewReader(text), bytes.NewReader(text)
	}
	var whole *Result
	if !v.KeepMistakes {
		var err error
		if whole, err = Load(ctx, opts); err != nil {
			return whole, err
		}
	}
	opts.Stdin = again
	l := newLoader(opts)
	l.view = v
	result, err := l.shownAs(ctx, whole)
	if err != nil {
		return &Result{}, l.quote(err)
	}
	return result, nil
}

func (l *projectLoader) shownAs(ctx context.Context, whole *Result) (*Result, error) {
	if err := l.find(); err != nil {
		return nil, err
	}
	project := l.merge(ctx)
	switch {
	case project == nil:
	case whole != nil: // where relative paths stay, they lead nowhere
		for name, s := range project.Services {
			resolved := whole.merged.Services[name]
			s.Labels, s.LabelFiles = resolved.Labels, nil
			if !l.view.KeepEnvironment {
				s.Environment, s.EnvFiles = resolved.Environment, nil
			}
			project.Services[name] = s
		}
	case !l.view.KeepPaths && !l.view.KeepEnvironment:
		project = l.resolveEnvironment(project)
	}
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	if project == nil {
		return nil, fmt.Errorf("cannot load project in %s: nothing to merge", l.opts.Dir)
	}
	result := &Result{Project: &model.Project{Name: l.name}, merged: project}
	if whole != nil {
		result.Warnings = whole.Warnings
	}
	return result, nil
}
