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
)

func imageCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Images: ls, inspect, history, tag, rm, prune, import, load, save", Args: unknownCommand, RunE: helpOnly}
	cmd.AddCommand(imageListCommand(s), imageRemoveCommand(s), imageImportCommand(s), imageLoadCommand(s),
		imageTagCommand(s), imageInspectCommand(s), imageHistoryCommand(s), imagePruneCommand(s), imageSaveCommand(s))
	return cmd
}

func imageListCommand(s *session) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List images", Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			images, err := c.Images(cmd.Context())
			if err != nil {
				return err
			}
			if !quiet {
				return s.screen.Images(images, format)
			}
			for _, i := range images {
				s.screen.Println(strings.TrimPrefix(i.Digest, "sha256:"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only ids")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	return cmd
}

func imageRemoveCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "rm IMAGE...", Short: "Remove images that no container uses", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var wrong []error
			for _, reference := range args {
				if err := c.RemoveImage(cmd.Context(), reference); err != nil {
					wrong = append(wrong, err)
					continue
				}
				s.screen.Println(reference)
			}
			return errors.Join(wrong...)
		},
	}
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
