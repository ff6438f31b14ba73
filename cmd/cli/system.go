package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
)

func systemCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{Use: "system", Short: "The resident processes", Args: unknownCommand, RunE: helpOnly}
	cmd.AddCommand(systemStopCommand(s), systemStatusCommand(s), systemEnableCommand(s), systemDisableCommand(s), systemRunCommand(s))
	return cmd
}

// helpOnly is what a command does that only holds others.
func helpOnly(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func systemStopCommand(s *session) *cobra.Command {
	var how client.SystemStop
	cmd := &cobra.Command{
		Use: "stop [--all | --keep]", Short: "End daemon and keeper",
		Long: `End daemon and keeper. While containers run this is refused: --all stops them
first, --keep leaves them running. The next command starts a daemon again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if how.All && how.Keep {
				return errors.New("--all and --keep are incompatible")
			}
			ctx := cmd.Context()
			build, err := s.buildID()
			if err != nil {
				return err
			}
			// Nothing is started only to be stopped.
			c := client.New(client.Config{RunDir: s.place.Run, Build: build})
			defer c.Close()
			answer, err := c.SystemStop(ctx, how)
			if errors.Is(err, client.ErrNoDaemon) {
				return s.process.Keeper.Stop(ctx, s.place)
			}
			if err != nil {
				return err
			}
			if len(answer.Running) > 0 {
				return fmt.Errorf("cannot stop: %d containers run: %s\n--all stops them first, --keep leaves them running",
					len(answer.Running), strings.Join(answer.Running, ", "))
			}
			for _, name := range answer.Stopped {
				s.screen.Notice(" Container " + name + " Stopped ")
			}
			return s.process.Keeper.Stop(ctx, s.place)
		},
	}
	cmd.Flags().BoolVar(&how.All, "all", false, "Stop containers first")
	cmd.Flags().BoolVar(&how.Keep, "keep", false, "Leave containers running")
	return cmd
}
