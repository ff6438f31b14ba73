package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func pushCommand(s *session) *cobra.Command {
	var r client.PushRequest
	var quiet bool
	cmd := &cobra.Command{
		Use: "push [OPTIONS] [SERVICE...]", Short: "Send images that services build to their registries",
		Long: `Send the images of services that have both build and image to the registry of
their name, with all their tags. Logins are those of docker login.`,
		Example:     "  mycompose build && mycompose push\n  mycompose build --push web",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, services []string) error {
			p, err := s.input(cmd.Context(), services, nil)
			if err != nil {
				return err
			}
			r.Services = services
			return s.perform(cmd.Context(), client.Push, p, r, ui.ProgressOptions{QuietPull: quiet})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&quiet, "quiet", "q", false, "No progress")
	flags.BoolVar(&r.IgnoreFailures, "ignore-push-failures", false, "Go on when one cannot be pushed")
	flags.BoolVar(&r.IncludeDeps, "include-deps", false, "Also services that these depend on")
	return cmd
}
