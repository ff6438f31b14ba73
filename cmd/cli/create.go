package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func createCommand(s *session) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use: "create [OPTIONS] [SERVICE...]", Short: "Make containers of services, start none",
		Example: `  mycompose create && mycompose start`, Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, services []string) error {
			request, err := f.request(cmd, s, services)
			if err != nil {
				return err
			}
			p, err := s.input(cmd.Context(), services, request.Scale)
			if err != nil {
				return err
			}
			return s.perform(cmd.Context(), client.Create, p, request, ui.ProgressOptions{QuietPull: f.quietPull})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.UpRequest.Build, "build", false, "Build images first")
	flags.BoolVar(&f.NoBuild, "no-build", false, "Never build, also if an image is missing")
	flags.StringVar(&f.UpRequest.Pull, "pull", "", "When to pull: always, missing, never, build")
	flags.BoolVar(&f.quietPull, "quiet-pull", false, "No progress of pulls")
	flags.BoolVar(&f.ForceRecreate, "force-recreate", false, "Make containers anew although nothing changed")
	flags.BoolVar(&f.NoRecreate, "no-recreate", false, "Keep containers although something changed")
	flags.BoolVarP(&f.RecreateVolumes, "yes", "y", false, "Ask nothing; volumes that differ from the file are made anew, and their content is lost")
	flags.BoolVar(&f.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file no longer has")
	flags.StringArrayVar(&f.scale, "scale", nil, "Number of replicas: SERVICE=NUMBER, may be given several times")
	return cmd
}
