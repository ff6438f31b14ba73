package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

func volumesCommand(s *session) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use: "volumes [OPTIONS] [SERVICE...]", Short: "List the project's volumes",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			found, err := s.volumesOf(cmd, p, args)
			if err != nil || !quiet {
				if err == nil {
					err = s.screen.Volumes(found, format)
				}
				return err
			}
			for _, v := range found {
				s.screen.Println(v.Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	return cmd
}

// volumesOf are the project's volumes, or those that containers of the named
// services use.
func (s *session) volumesOf(cmd *cobra.Command, p *project, services []string) ([]spec.Volume, error) {
	all, err := s.volumes(cmd)
	if err != nil {
		return nil, err
	}
	if len(services) == 0 {
		return slices.DeleteFunc(all, func(v spec.Volume) bool { return v.Project != p.name || v.Anonymous }), nil
	}
	containers, err := s.containersOf(cmd, p, services, func(spec.Container) bool { return true })
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range containers {
		for _, name := range c.Status.Volumes {
			used[name] = true
		}
	}
	return slices.DeleteFunc(all, func(v spec.Volume) bool { return !used[v.Name] }), nil
}
