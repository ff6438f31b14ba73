package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func downCommand(s *session) *cobra.Command {
	var r client.DownRequest
	var seconds int
	cmd := &cobra.Command{
		Use: "down [OPTIONS] [SERVICE...]", Short: "Stop and remove containers and networks",
		Example: `  mycompose down                   data in volumes stays
  mycompose down -v                and volumes too
  mycompose -p shop down           from anywhere, by the project's name`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.Timeout, err = timeout(cmd, seconds); err != nil {
				return err
			}
			switch r.Images {
			case "", "local", "all":
			default:
				return fmt.Errorf("invalid value for --rmi: %q: local or all", r.Images)
			}
			r.RemoveOrphans = r.RemoveOrphans || s.truth("COMPOSE_REMOVE_ORPHANS")
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			r.Services, r.Expected, r.File = args, p.found, p.file
			return s.perform(cmd.Context(), client.Down, p, r, ui.ProgressOptions{})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&r.Volumes, "volumes", "v", false, "Remove named volumes of the file and anonymous ones too")
	flags.BoolVar(&r.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file no longer has")
	flags.StringVar(&r.Images, "rmi", "", "Remove images too: local (those without a name of their own) or all")
	flags.IntVarP(&seconds, "timeout", "t", 0, "Seconds from stop signal to SIGKILL")
	return cmd
}

// byName finds a project that needs no model and checks the services named.
func (s *session) byName(cmd *cobra.Command, services []string) (*project, error) {
	p, err := s.known(cmd.Context())
	if err != nil {
		return nil, err
	}
	return p, p.check(services)
}
