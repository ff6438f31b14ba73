package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func buildCommand(s *session) *cobra.Command {
	var r client.BuildRequest
	var args, agents []string
	var progress string
	var quiet bool
	cmd := &cobra.Command{
		Use: "build [OPTIONS] [SERVICE...]", Short: "Build images of services",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, services []string) error {
			p, err := s.input(cmd.Context(), services, nil)
			if err != nil {
				return err
			}
			r.Services, r.Args = services, s.parseEnvironment(args)
			if r.SSH, err = s.parseSSH(agents); err != nil {
				return err
			}
			if err := s.perform(cmd.Context(), client.Build, p, r, ui.ProgressOptions{QuietBuild: quiet}); err != nil || quiet {
				return err
			}
			s.summarize(cmd.Context(), "", nil, "up -d")
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&args, "build-arg", nil, "Value of an ARG: NAME=VALUE, may be given several times")
	flags.BoolVar(&r.NoCache, "no-cache", false, "Run every step anew")
	flags.BoolVar(&r.Pull, "pull", false, "Ask the registry for newer base images")
	flags.StringArrayVar(&agents, "ssh", nil, "Agent or key for RUN --mount=type=ssh: default, or ID=PATH, may be given several times")
	flags.BoolVar(&r.Push, "push", false, "Push what was built and has a name")
	flags.BoolVarP(&quiet, "quiet", "q", false, "No output of build steps")
	flags.BoolVar(&r.WithDependencies, "with-dependencies", false, "Also services that these depend on")
	flags.StringVar(&progress, "progress", "", "As the flag of mycompose")
	if err := flags.MarkHidden("progress"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}
