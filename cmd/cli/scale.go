package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

func scaleCommand(s *session) *cobra.Command {
	var noDeps bool
	cmd := &cobra.Command{
		Use: "scale [OPTIONS] SERVICE=NUMBER...", Short: "Bring services to a number of replicas",
		Example: `  mycompose scale web=3 worker=0`, Annotations: canDryRun(), Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			scale, err := parseScale(args)
			if err != nil {
				return err
			}
			services := slices.Sorted(maps.Keys(scale))
			p, err := s.input(cmd.Context(), services, scale)
			if err != nil {
				return err
			}
			request := client.UpRequest{Services: services, Scale: scale, NoDeps: noDeps, IgnoreOrphans: s.truth("COMPOSE_IGNORE_ORPHANS")}
			return s.perform(cmd.Context(), client.Up, p, request, ui.ProgressOptions{Title: "scale"})
		},
	}
	cmd.Flags().BoolVar(&noDeps, "no-deps", false, "Without the services that these depend on")
	return cmd
}
