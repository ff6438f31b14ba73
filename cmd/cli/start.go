package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func startCommand(s *session) *cobra.Command {
	var r client.StartRequest
	var seconds int
	cmd := &cobra.Command{
		Use: "start [OPTIONS] [SERVICE...]", Short: "Start containers that exist",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			r.Services, r.WaitTimeout = args, time.Duration(max(0, seconds))*time.Second
			if err := s.perform(cmd.Context(), client.Start, p, r, ui.ProgressOptions{}); err != nil {
				return err
			}
			s.summarize(cmd.Context(), p.name, args, "logs -f", "ps")
			return nil
		},
	}
	cmd.Flags().BoolVar(&r.Wait, "wait", false, "Wait until all are running or healthy")
	cmd.Flags().IntVar(&seconds, "wait-timeout", 0, "Seconds to wait at most; 0 is without bound")
	return cmd
}
