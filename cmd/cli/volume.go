package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

func volumeCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{Use: "volume", Short: "Volumes: ls, inspect, create, rm, prune", Args: unknownCommand, RunE: helpOnly}
	cmd.AddCommand(
		volumeListCommand(s), volumeInspectCommand(s), volumeCreateCommand(s), volumeRemoveCommand(s), volumePruneCommand(s),
	)
	return cmd
}

func volumeListCommand(s *session) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List volumes; of one project with -p", Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			volumes, err := s.volumes(cmd)
			if err != nil {
				return err
			}
			if name := s.globals.projectName; name != "" {
				volumes = slices.DeleteFunc(volumes, func(v spec.Volume) bool { return v.Project != name })
			}
			if !quiet {
				return s.screen.Volumes(volumes, format)
			}
			for _, v := range volumes {
				s.screen.Println(v.Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	return cmd
}

func (s *session) volumes(cmd *cobra.Command) ([]spec.Volume, error) {
	c, err := s.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	return c.Volumes(cmd.Context())
}

func volumeRemoveCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "rm VOLUME...", Short: "Remove volumes that no container uses", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var wrong []error
			for _, name := range args {
				if err := c.RemoveVolume(cmd.Context(), name); err != nil {
					wrong = append(wrong, err)
					continue
				}
				s.screen.Println(name)
			}
			return errors.Join(wrong...)
		},
	}
}

func volumeInspectCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "inspect VOLUME...", Short: "Show volumes as JSON, with the folder that holds their content",
		Args: cobra.MinimumNArgs(1), Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, args []string) error {
			volumes, err := s.volumes(cmd)
			if err != nil {
				return err
			}
			found := []spec.Volume{}
			var wrong []error
			for _, name := range args {
				at := slices.IndexFunc(volumes, func(v spec.Volume) bool { return v.Name == name })
				if at < 0 {
					wrong = append(wrong, spec.Errorf(spec.ErrNotFound, "no such volume: %s", name))
					continue
				}
				found = append(found, volumes[at])
			}
			return errors.Join(append(wrong, s.screen.InspectVolumes(found))...)
		},
	}
}
