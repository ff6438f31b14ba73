package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func rmCommand(s *session) *cobra.Command {
	var r client.RemoveRequest
	var force bool
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] [SERVICE...]", Short: "Remove stopped containers",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			found, err := s.containersOf(cmd, p, args, func(c spec.Container) bool { return r.Stop || !c.Status.Up() })
			if err != nil {
				return err
			}
			if len(found) == 0 {
				s.screen.Notice("No stopped containers")
				return nil
			}
			var names []string
			for _, c := range found {
				names = append(names, c.Blueprint.Name)
			}
			s.screen.Println("Going to remove " + strings.Join(names, ", "))
			if !force && !s.globals.dryRun && !s.confirm() {
				return nil
			}
			r.Services = args
			return s.perform(cmd.Context(), client.Remove, p, r, ui.ProgressOptions{})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().BoolVarP(&r.Stop, "stop", "s", false, "Stop them first")
	cmd.Flags().BoolVarP(&r.Volumes, "volumes", "v", false, "Remove their anonymous volumes too")
	return cmd
}

// confirm asks a person; where there is none the answer is no.
func (s *session) confirm() bool {
	if !isTerminal(s.process.Stdin) {
		return false
	}
	fmt.Fprint(s.screen, "Are you sure? [yN] ")
	line, err := bufio.NewReader(s.process.Stdin).ReadString('\n')
	if err != nil {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
