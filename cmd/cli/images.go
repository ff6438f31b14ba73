package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

func imagesCommand(s *session) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use: "images [OPTIONS] [SERVICE...]", Short: "List the images of the project's containers",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			containers, err := s.containersOf(cmd, p, args, func(spec.Container) bool { return true })
			if err != nil {
				return err
			}
			if quiet {
				shown := map[string]bool{}
				for _, c := range containers {
					if digest := c.Blueprint.ImageDigest; !shown[digest] {
						shown[digest] = true
						s.screen.Println(strings.TrimPrefix(digest, "sha256:"))
					}
				}
				return nil
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			all, err := c.Images(cmd.Context())
			if err != nil {
				return err
			}
			images := map[string]spec.Image{}
			for _, i := range all {
				images[i.Digest] = i
			}
			return s.screen.UsedImages(containers, images, format)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only ids")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	return cmd
}
