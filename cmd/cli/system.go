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
	cmd.AddCommand(systemStopCommand(s), systemStatusCommand(s), systemEnableCommand(s), systemDisableCommand(s), systemPruneCommand(s), systemRunCommand(s))
	return cmd
}

// helpOnly is what a command does that only holds others.
func helpOnly(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func systemStopCommand(s *session) *cobra.Command {
	var how client.SystemStop
	cmd := &cobra.Command{
		Use: "stop [--all | --keep]", Short: "End daemon and keeper",
		Long: `End daemon and keeper. While containers run this is refused: --all stops them
first, --keep leaves them running. The next command starts a daemon again. A note
that it was stopped stays in the runtime folder until the machine boots.`,
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

func systemPruneCommand(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove what was set aside because it was damaged",
		Long: `Remove what was set aside because it was damaged: the files that info names, and
the folders of containers that nothing else is known of. The content of a volume
stays.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force && !s.confirmed("WARNING! This will remove all files that were set aside because they were damaged.") {
				return nil
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			pruned, err := c.SystemPrune(cmd.Context())
			if err != nil {
				return err
			}
			for _, path := range pruned.Removed {
				s.screen.Println("Deleted: " + path)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	return cmd
}
