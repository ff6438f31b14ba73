package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func imageCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Images: ls, inspect, history, tag, rm, prune, import, load, save", Args: unknownCommand, RunE: helpOnly}
	cmd.AddCommand(imageListCommand(s), imageRemoveCommand(s), imageImportCommand(s), imageLoadCommand(s),
		imageTagCommand(s), imageInspectCommand(s), imageHistoryCommand(s), imagePruneCommand(s), imageSaveCommand(s))
	return cmd
}

func imageListCommand(s *session) *cobra.Command {
	var quiet, whole bool
	var format string
	var filters []string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS] [REPOSITORY[:TAG]]", Aliases: []string{"list"}, Short: "List images", Args: cobra.MaximumNArgs(1), Annotations: canDryRun(),
		Example: "  mycompose image ls --filter dangling=true\n  mycompose image ls --filter 'reference=shop-*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			images, err := c.Images(cmd.Context())
			if err != nil {
				return err
			}
			for _, name := range args {
				filters = append(filters, "reference="+name)
			}
			if images, err = filterImages(images, filters); err != nil {
				return err
			}
			if !quiet {
				return s.screen.Images(images, format, whole)
			}
			for _, i := range images {
				s.screen.Println(strings.TrimPrefix(i.Digest, "sha256:"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only ids")
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "Whole ids")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	cmd.Flags().StringArrayVarP(&filters, "filter", "f", nil, "dangling=true|false, reference=PATTERN, label=NAME[=VALUE], before=IMAGE or since=IMAGE")
	return cmd
}

func imageRemoveCommand(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] IMAGE...", Short: "Remove images that no container uses", Args: cobra.MinimumNArgs(1),
		Example: "  mycompose image rm shop-web:old\n  mycompose image rm -f 0123456789ab",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var wrong []error
			for _, reference := range args {
				deleted, err := c.DeleteImage(cmd.Context(), reference, force)
				switch {
				case force && errors.Is(err, spec.ErrImageMissing):
					s.screen.Notice(err.Error())
				case err != nil:
					wrong = append(wrong, err)
				default:
					s.screen.DeletedImage(deleted)
				}
			}
			return errors.Join(wrong...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "With all its names, and no error if it is not there; what containers use stays")
	return cmd
}

func imageImportCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE.tar NAME", Short: "Make an image of a root file system",
		Example: `  mycompose image import root.tar debian:bookworm-slim`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := client.ImageFileRequest{Path: absolute(s.process.Dir, args[0]), Name: args[1]}
			return s.perform(cmd.Context(), client.ImageImport, nil, request, ui.ProgressOptions{Title: "import"})
		},
	}
}

func imageLoadCommand(s *session) *cobra.Command {
	var file string
	var quiet bool
	cmd := &cobra.Command{
		Use: "load [-i FILE]", Short: "Take images out of a docker or OCI archive, also a compressed one", Args: cobra.NoArgs,
		Example: "  mycompose image load -i images.tar.xz\n  docker save redis web | mycompose image load",
		RunE: func(cmd *cobra.Command, _ []string) error {
			request := client.ImageFileRequest{Path: absolute(s.process.Dir, file)}
			if file == "" || file == "-" {
				spooled, err := s.spool()
				if err != nil {
					return fmt.Errorf("cannot load from standard input: %w", err)
				}
				defer os.Remove(spooled)
				request = client.ImageFileRequest{Path: spooled, Name: "standard input"}
			}
			return s.perform(cmd.Context(), client.ImageLoad, nil, request, ui.ProgressOptions{Title: "load", QuietPull: quiet})
		},
	}
	cmd.Flags().StringVarP(&file, "input", "i", "", "The archive; standard input if absent or -")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only the names of what was loaded")
	return cmd
}

// spool puts what comes on standard input into a file for the daemon, which
// may have to read it a second time. Archives are large: not into a tmpfs.
func (s *session) spool() (path string, err error) {
	if isTerminal(s.process.Stdin) {
		return "", errors.New("it is a terminal: name a file with -i FILE")
	}
	file, err := os.CreateTemp(orElse(s.env["TMPDIR"], "/var/tmp"), "mycompose-load-*.tar")
	if err != nil {
		return "", err
	}
	n, err := io.Copy(file, s.process.Stdin)
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// absolute makes a path absolute, starting from dir.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
