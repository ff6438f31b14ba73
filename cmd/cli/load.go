package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/load"
)

// loadCommand is what the daemon runs to follow files that were edited.
func loadCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: client.LoadCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var request client.LoadRequest
			if err := json.NewDecoder(s.process.Stdin).Decode(&request); err != nil {
				return fmt.Errorf("cannot read what to load: %w", err)
			}
			data, err := json.Marshal(s.loadFollowed(cmd.Context(), request))
			if err != nil {
				return fmt.Errorf("cannot write what was loaded: %w", err)
			}
			_, err = s.screen.Write(data)
			return err
		},
	}
}

// loadFollowed loads a project as the command did that began to follow it.
func (s *session) loadFollowed(ctx context.Context, r client.LoadRequest) client.LoadAnswer {
	fail := func(err error) client.LoadAnswer { return client.LoadAnswer{Error: err.Error()} }
	build, err := s.buildID()
	if err != nil {
		return fail(err)
	}
	f := r.Follow
	o := load.Options{
		Dir: f.Dir, Files: f.Files, ProjectName: f.ProjectName, Profiles: f.Profiles, EnvFiles: f.EnvFiles,
		ProjectDir: f.ProjectDir, Enable: r.Services, Env: f.Env, Build: build,
	}
	var inputs load.Inputs
	if json.Unmarshal(f.Inputs, &inputs) == nil && inputs.Unchanged(o) {
		return client.LoadAnswer{Unchanged: true}
	}
	result, err := loadFiles(ctx, o)
	if err != nil {
		return fail(err)
	}
	if err := result.CheckWatch(r.Services); err != nil {
		return fail(err)
	}
	p, err := s.toInput(result, o.Key(), r.Services, r.Scale)
	if err != nil {
		return fail(err)
	}
	next, err := follow(o, result)
	if err != nil {
		return fail(err)
	}
	return client.LoadAnswer{Project: p.name, Input: p.input, Follow: next}
}

// follow is what a daemon needs to load a project again; nil for one from
// standard input.
func follow(o load.Options, r *load.Result) (*client.Follow, error) {
	if r.Inputs.Stdin || slices.Contains(o.Files, "-") {
		return nil, nil
	}
	inputs, err := json.Marshal(r.Inputs)
	if err != nil {
		return nil, fmt.Errorf("cannot write inputs: %w", err)
	}
	return &client.Follow{
		Dir: o.Dir, Files: o.Files, ProjectName: o.ProjectName, Profiles: o.Profiles, EnvFiles: o.EnvFiles,
		ProjectDir: o.ProjectDir, Env: r.Inputs.Needed(o.Env), Paths: r.Inputs.Paths(), Inputs: inputs,
	}, nil
}
