package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

func exportCommand(s *session) *cobra.Command {
	var index int
	var output string
	cmd := &cobra.Command{
		Use: "export [OPTIONS] SERVICE", Short: "Write the root file system of a container as a tar archive",
		Long:    "Write the root file system of a container as a tar archive, without its volumes.",
		Example: `  mycompose export -o web.tar web`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" && s.screen.OutIsTerminal() {
				return errors.New("output option is required when exporting to terminal")
			}
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			all, err := s.containersOf(cmd, p, args, func(c spec.Container) bool {
				return index == 0 || c.Blueprint.Labels[labelNumber] == fmt.Sprint(index)
			})
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return spec.Errorf(spec.ErrNotFound, "no container found for service %q", args[0])
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			stream, err := c.Export(cmd.Context(), all[0].Blueprint.ID)
			if err != nil {
				return err
			}
			defer stream.Close()
			return s.writeOut(stream, output)
		},
	}
	cmd.Flags().IntVar(&index, "index", 0, "Number of the replica; the first by default")
	cmd.Flags().StringVarP(&output, "output", "o", "", "File to write to; standard output by default")
	return cmd
}

// writeOut writes a stream to a file that is whole or not there, to what is there if
// that is no regular file, or to standard output.
func (s *session) writeOut(stream io.Reader, name string) (err error) {
	if name == "" {
		_, err := io.Copy(s.screen, stream)
		return err
	}
	name = absolute(s.process.Dir, name)
	if throughTo(name) {
		return writeThrough(name, stream)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write %s: there is no folder %s", name, filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, stream); err != nil {
		return errors.Join(fmt.Errorf("cannot write %s: %w", name, err), f.Close())
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}
