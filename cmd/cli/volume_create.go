package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func volumeCreateCommand(s *session) *cobra.Command {
	var v spec.Volume
	var labels, options []string
	cmd := &cobra.Command{
		Use: "create [OPTIONS] VOLUME", Short: "Create a volume, for projects that name it with external: true", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v.Name = args[0]
			var err error
			if v.Labels, err = keysAndValues("label", labels, true); err != nil {
				return err
			}
			if v.Options, err = keysAndValues("opt", options, false); err != nil {
				return err
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			made, err := c.CreateVolume(cmd.Context(), v)
			if err != nil {
				return err
			}
			s.screen.Println(made.Name)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&v.Driver, "driver", "d", "local", "local")
	f.StringArrayVarP(&options, "opt", "o", nil, "Option of the driver: type=none, o=bind and device=/FOLDER show a folder of this host")
	f.StringArrayVar(&labels, "label", nil, "Label, name=value")
	return cmd
}

func volumePruneCommand(s *session) *cobra.Command {
	var all, force bool
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove anonymous volumes that no container uses; of one project with -p", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			which := "anonymous"
			if all {
				which = "named and anonymous"
			}
			whose := ""
			if name := s.globals.projectName; name != "" {
				whose = " of project " + name
			}
			if !force && !s.confirmed("WARNING! This will remove all "+which+" volumes"+whose+" not used by at least one container, with their content.") {
				return nil
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := c.PruneVolumes(cmd.Context(), client.VolumePrune{Project: s.globals.projectName, Named: all})
			if len(gone) > 0 {
				s.screen.Println("Deleted Volumes:\n" + strings.Join(gone, "\n") + "\n")
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Named ones too")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	return cmd
}
