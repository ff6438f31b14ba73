package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func waitCommand(s *session) *cobra.Command {
	var down bool
	cmd := &cobra.Command{
		Use: "wait [OPTIONS] SERVICE [SERVICE...]", Short: "Wait until containers of services end; end with their exit code",
		Example: `  mycompose wait migrate           ends as migrate does
  mycompose wait --down-project tests`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.known(cmd.Context())
			if err != nil {
				return err
			}
			if err := p.check(args); err != nil {
				return err
			}
			running, err := s.containersOf(cmd, p, args, func(c spec.Container) bool { return c.Status.Up() })
			if err != nil {
				return err
			}
			if len(running) == 0 {
				return spec.Errorf(spec.ErrNotRunning, "no containers for project %q", p.name)
			}
			code, err := s.waitForEnds(cmd.Context(), running, down)
			if err != nil {
				return err
			}
			if down {
				request := client.DownRequest{Expected: p.found, File: p.file}
				if err := s.perform(cmd.Context(), client.Down, p, request, ui.ProgressOptions{}); err != nil {
					return err
				}
			}
			return exitCode(code)
		},
	}
	cmd.Flags().BoolVar(&down, "down-project", false, "Take the project down when the first has ended")
	return cmd
}

// waitForEnds waits for all containers, or for the first, tells each end, and
// returns the exit code of the last.
func (s *session) waitForEnds(ctx context.Context, containers []spec.Container, first bool) (int, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ended struct {
		id     string
		status spec.Status
		err    error
	}
	ends := make(chan ended, len(containers)) // has room for all: nobody waits to tell
	for _, container := range containers {
		go func() {
			status, err := c.WaitContainer(ctx, container.Blueprint.ID, spec.UntilExited)
			ends <- ended{container.Blueprint.ID, status, err}
		}()
	}
	code := 0
	for range containers {
		e := <-ends
		if e.err != nil {
			return 0, e.err
		}
		s.screen.Println(fmt.Sprintf("container %q exited with status code %d", e.id, e.status.ExitCode))
		if code = e.status.ExitCode; first {
			break
		}
	}
	return code, nil
}
