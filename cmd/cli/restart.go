package cli

import (
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func restartCommand(s *session) *cobra.Command {
	var r client.RestartRequest
	var seconds int
	cmd := &cobra.Command{
		Use: "restart [OPTIONS] [SERVICE...]", Short: "Stop and start containers as they are",
		Long:        "Stop and start containers as they are. Changes of the compose file are not\napplied: that is what `up` does. Addresses, ports, namespaces and mounts stay, with\nwhat is in a tmpfs, unless mounts are not just what a new start would make: then,\nand for privileged services, they are made anew.",
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
			if err := s.perform(cmd.Context(), client.Restart, p, r, ui.ProgressOptions{}); err != nil {
				return err
			}
			s.summarize(cmd.Context(), p.name, args, "logs -f", "ps")
			return nil
		},
	}
	cmd.Flags().BoolVar(&r.NoDeps, "no-deps", false, "Do not restart services that depend on these")
	cmd.Flags().IntVarP(&seconds, "timeout", "t", 0, "Seconds from stop signal to SIGKILL")
	return cmd
}
