package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func killCommand(s *session) *cobra.Command {
	var r client.KillRequest
	cmd := &cobra.Command{
		Use: "kill [OPTIONS] [SERVICE...]", Short: "Send a signal to containers, SIGKILL by default",
		Example:     `  mycompose kill -s HUP web        let web read its configuration anew`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			running, err := s.containersOf(cmd, p, args, func(c spec.Container) bool {
				return c.Status.Up() && (r.Orphans || slices.Contains(p.services, c.Blueprint.Labels[labelService]))
			})
			if err != nil {
				return err
			}
			if len(running) == 0 {
				s.screen.Notice("No container to kill")
				return nil
			}
			r.Services = args
			if len(args) == 0 && !r.Orphans { // the daemon may know an older file
				r.Services = servicesOf(running)
			}
			return s.perform(cmd.Context(), client.Kill, p, r, ui.ProgressOptions{})
		},
	}
	cmd.Flags().StringVarP(&r.Signal, "signal", "s", "SIGKILL", "Signal by name or number")
	cmd.Flags().BoolVar(&r.Orphans, "remove-orphans", false, "Also containers of services that the file no longer has")
	return cmd
}

// servicesOf are the names of the services of containers, sorted, each once.
func servicesOf(containers []spec.Container) []string {
	var names []string
	for _, c := range containers {
		names = append(names, c.Blueprint.Labels[labelService])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// containersOf lists the project's containers of some services (none is all)
// that keep holds for, without one-off ones, by name.
func (s *session) containersOf(cmd *cobra.Command, p *project, services []string, keep func(spec.Container) bool) ([]spec.Container, error) {
	return s.containersAndOneOffs(cmd, p, services, func(c spec.Container) bool { return !isOneOff(c) && keep(c) })
}

// containersAndOneOffs is containersOf with those of run.
func (s *session) containersAndOneOffs(cmd *cobra.Command, p *project, services []string, keep func(spec.Container) bool) ([]spec.Container, error) {
	c, err := s.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	all, err := c.Containers(cmd.Context(), p.name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c spec.Container) bool {
		return !keep(c) || len(services) > 0 && !slices.Contains(services, c.Blueprint.Labels[labelService])
	}), nil
}
