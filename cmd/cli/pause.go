package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func pauseCommand(s *session) *cobra.Command {
	return freezing(s, client.Pause, &cobra.Command{
		Use: "pause [SERVICE...]", Short: "Freeze containers: they keep all and do nothing",
		Example: `  mycompose pause web              until unpause; a stop ends it too`,
	})
}

func unpauseCommand(s *session) *cobra.Command {
	return freezing(s, client.Unpause, &cobra.Command{Use: "unpause [SERVICE...]", Short: "Let paused containers go on"})
}

func freezing(s *session, kind client.Kind, cmd *cobra.Command) *cobra.Command {
	cmd.Annotations, cmd.ValidArgsFunction = canDryRun(), completeServices(s)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := s.byName(cmd, args)
		if err != nil {
			return err
		}
		return s.perform(cmd.Context(), kind, p, client.PauseRequest{Services: args}, ui.ProgressOptions{})
	}
	return cmd
}
