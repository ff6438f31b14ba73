package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func imageTagCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "tag IMAGE NAME", Short: "Give an image a further name", Args: cobra.ExactArgs(2),
		Example: "  mycompose image tag shop-web registry.example/shop/web:1.2",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			return c.TagImage(cmd.Context(), client.TagRequest{Image: args[0], Name: args[1]})
		},
	}
}

func imageInspectCommand(s *session) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "inspect [OPTIONS] IMAGE...", Short: "Show all about images, as JSON", Args: cobra.MinimumNArgs(1), Annotations: canDryRun(),
		Example: "  mycompose image inspect redis:alpine\n  mycompose image inspect -f '{{.Config.Cmd}}' redis:alpine",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var found []spec.ImageDetails
			var wrong []error
			for _, word := range args {
				details, err := c.ImageDetails(cmd.Context(), word)
				if err == nil {
					found = append(found, details)
				}
				wrong = append(wrong, err)
			}
			return errors.Join(append([]error{s.screen.ImageDetails(found, format)}, wrong...)...)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "json or a Go template")
	return cmd
}

func imageHistoryCommand(s *session) *cobra.Command {
	var format string
	var whole bool
	cmd := &cobra.Command{
		Use: "history [OPTIONS] IMAGE", Short: "Show how an image came to be", Args: cobra.ExactArgs(1), Annotations: canDryRun(),
		Example: "  mycompose image history --no-trunc redis:alpine",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			details, err := c.ImageDetails(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.screen.ImageHistory(details, format, whole)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "Whole ids and commands")
	return cmd
}

func imagePruneCommand(s *session) *cobra.Command {
	var prune spec.Prune
	var force bool
	var filters []string
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove images without a name that no container uses", Args: cobra.NoArgs,
		Example: "  mycompose image prune\n  mycompose image prune -a -f",
		RunE: func(cmd *cobra.Command, _ []string) error {
			warning := "WARNING! This will remove all dangling images."
			for _, filter := range filters {
				if err := pruneFilter(&prune, filter, time.Now()); err != nil {
					return err
				}
			}
			if prune.All {
				warning = "WARNING! This will remove all images without at least one container associated to them."
			}
			if !force && !s.confirmed(warning) {
				return nil
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			pruned, err := c.PruneImages(cmd.Context(), prune)
			if err != nil {
				return err
			}
			s.screen.PrunedImages(pruned)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&filters, "filter", nil, "until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE] or dangling=false")
	cmd.Flags().BoolVarP(&prune.All, "all", "a", false, "All that no container uses, not only those without a name, and the build cache")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	return cmd
}

func imageSaveCommand(s *session) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "save [-o FILE] IMAGE...", Short: "Write images into an archive that image load and docker load read", Args: cobra.MinimumNArgs(1),
		Example: "  mycompose image save -o shop.tar shop-web shop-db\n  mycompose image save shop-web | gzip > web.tar.gz",
		RunE: func(cmd *cobra.Command, images []string) error {
			if file == "" && isTerminal(s.process.Stdout) {
				return errors.New("cannot save to a terminal: name a file with -o FILE, or pipe the archive on")
			}
			return s.saveImages(cmd, images, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "The archive; standard output if absent")
	return cmd
}

// saveImages has the daemon write beside the file that is asked for, or for
// standard output into a temporary one, so that a failed save leaves nothing.
func (s *session) saveImages(cmd *cobra.Command, images []string, file string) error {
	request := client.ImageFileRequest{Images: images, Name: "standard output"}
	dir := orElse(s.env["TMPDIR"], "/var/tmp")
	through := false
	if file != "" {
		file = absolute(s.process.Dir, file)
		request.Name = file
		if through = throughTo(file); !through {
			dir = filepath.Dir(file)
		}
	}
	temporary, err := os.CreateTemp(dir, ".mycompose-save-*.tar")
	if err != nil {
		return fmt.Errorf("cannot save images: %w", err)
	}
	defer os.Remove(temporary.Name()) // gone, if it was renamed
	defer temporary.Close()
	request.Path = temporary.Name()
	if err := s.perform(cmd.Context(), client.ImageSave, nil, request, ui.ProgressOptions{Title: "save", QuietPull: file == ""}); err != nil {
		return err
	}
	switch {
	case through:
		return writeThrough(file, temporary)
	case file != "":
		return os.Rename(temporary.Name(), file)
	}
	_, err = io.Copy(s.process.Stdout, temporary)
	return err
}
