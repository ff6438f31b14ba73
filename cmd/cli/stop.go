package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func stopCommand(s *session) *cobra.Command {
	var r client.StopRequest
	var seconds int
	cmd := &cobra.Command{
		Use: "stop [OPTIONS] [SERVICE...]", Short: "Stop containers and keep them",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.Timeout, err = timeout(cmd, seconds); err != nil {
				return err
			}
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			r.Services = args
			return s.perform(cmd.Context(), client.Stop, p, r, ui.ProgressOptions{})
		},
	}
	cmd.Flags().IntVarP(&seconds, "timeout", "t", 0, "Seconds from stop signal to SIGKILL")
	return cmd
}
