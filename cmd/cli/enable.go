package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/folder"
)

// errNoSystemd: the unit that would be written has been printed.
var errNoSystemd = errors.New("cannot enable: systemd does not run here; above is the unit for a machine where it does")

func systemEnableCommand(s *session) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use: "enable [--now]", Short: "Start containers when the machine boots",
		Long: `Write and enable the systemd unit of this state folder: mycompose.service, or
mycompose-TAG.service for another folder than ` + folder.DefaultStateDir + `. At boot its keeper
starts what was meant to run (restart: always, and unless-stopped unless it was
stopped; on-failure if it had not ended well), in the order of depends_on and with
its conditions. Stopping the unit leaves containers running.
Where systemd does not run, the unit is printed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := s.unit()
			if err != nil {
				return err
			}
			if !systemdRuns() {
				fmt.Fprint(s.process.Stdout, u.text())
				return errNoSystemd
			}
			if err := u.enable(cmd.Context(), now); err != nil {
				return err
			}
			s.screen.Notice(" Unit " + u.name + " Enabled ")
			return nil
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "Start the unit too")
	return cmd
}

func systemDisableCommand(s *session) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use: "disable [--now]", Short: "Do not start containers when the machine boots",
		Long: `Disable and remove the systemd unit of this state folder. What runs runs on; --now
ends keeper and daemon, and leaves containers running.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := s.unit()
			if err != nil {
				return err
			}
			if !systemdRuns() {
				return errors.New("cannot disable: systemd does not run here")
			}
			if err := u.disable(cmd.Context(), now); err != nil {
				return err
			}
			s.screen.Notice(" Unit " + u.name + " Disabled ")
			return nil
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "Stop the unit too")
	return cmd
}

func systemStatusCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show keeper, daemon and the systemd unit",
		Long: `Show whether keeper and daemon run, and the state of the systemd unit. Nothing is
started by it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := s.unit()
			if err != nil {
				return err
			}
			keeper, daemon := "not running", "not running"
			status, err := s.process.Keeper.Status(cmd.Context(), s.place)
			switch {
			case err == nil:
				keeper = fmt.Sprintf("running, pid %d", status.PID)
				if status.DaemonPID != 0 {
					daemon = fmt.Sprintf("running, pid %d (%d started)", status.DaemonPID, status.DaemonStarts)
				}
			case !errors.Is(err, fs.ErrNotExist):
				return err
			}
			s.screen.Pairs([][2]string{
				{"State folder", s.place.State}, {"Keeper", keeper}, {"Daemon", daemon}, {"Unit", u.state(cmd.Context())},
			})
			return nil
		},
	}
}

// systemRunCommand is what the unit executes.
func systemRunCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Become the keeper", Hidden: true, Args: cobra.NoArgs,
		Long: "Become the keeper of this state folder, as the main process of a service manager's unit.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.process.Keeper.Become(cmd.Context(), s.place, func() error { return notifyReady(s.env["NOTIFY_SOCKET"]) })
		},
	}
}
