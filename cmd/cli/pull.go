package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func pullCommand(s *session) *cobra.Command {
	var r client.PullRequest
	var quiet bool
	cmd := &cobra.Command{
		Use: "pull [OPTIONS] [SERVICE...]", Short: "Pull images of services",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, services []string) error {
			switch r.Policy {
			case "", "missing", "always":
			default:
				return fmt.Errorf("invalid value for --policy: %q: missing or always", r.Policy)
			}
			p, err := s.input(cmd.Context(), services, nil)
			if err != nil {
				return err
			}
			r.Services = services
			if err := s.perform(cmd.Context(), client.Pull, p, r, ui.ProgressOptions{QuietPull: quiet}); err != nil || quiet {
				return err
			}
			s.summarize(cmd.Context(), "", nil, "up -d")
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&quiet, "quiet", "q", false, "No progress")
	flags.BoolVar(&r.IgnoreBuildable, "ignore-buildable", false, "Leave out services that are built")
	flags.BoolVar(&r.IgnoreFailures, "ignore-pull-failures", false, "Go on when one cannot be pulled")
	flags.BoolVar(&r.IncludeDeps, "include-deps", false, "Also services that these depend on")
	flags.StringVar(&r.Policy, "policy", "", "missing or always")
	return cmd
}
