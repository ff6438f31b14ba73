package cli

import (
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func topCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "top [SERVICE...]", Short: "Show the processes inside containers",
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
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
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var rows []ui.TopContainer
			for _, container := range running {
				found, err := c.ContainerProcesses(cmd.Context(), container.Blueprint.ID)
				if err != nil {
					return err
				}
				labels := container.Blueprint.Labels
				number, _ := strconv.Atoi(labels[labelNumber])
				rows = append(rows, ui.TopContainer{Service: labels[labelService], Number: number, Processes: found})
			}
			return s.screen.Top(rows, userNames("/etc/passwd"))
		},
	}
}

// userNames names user ids as this machine does, passwd(5); one that has no name
// is its number.
func userNames(path string) func(uid int) string {
	names := map[string]string{}
	data, _ := os.ReadFile(path) // without it there are numbers
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(line, ":")
		if len(fields) > 2 && names[fields[2]] == "" {
			names[fields[2]] = fields[0]
		}
	}
	return func(uid int) string { return orElse(names[strconv.Itoa(uid)], strconv.Itoa(uid)) }
}
