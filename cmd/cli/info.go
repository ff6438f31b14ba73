package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/cmd/ui"
)

func infoCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Show settings with their source, the daemon, and what this kernel offers",
		Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pairs := [][2]string{{"Version", s.process.Version}, {"State folder", s.place.State}, {"Runtime folder", s.place.Run}}
			if !parts.Present() {
				pairs = append(pairs, [2]string{"Parts", parts.ErrMissing.Error()})
			}
			_, err := s.dial(cmd.Context())
			if err == nil {
				pairs, err = s.daemonPairs(cmd, pairs)
			}
			s.screen.Pairs(pairs)
			s.screen.Println("Settings:")
			var settings [][2]string
			for _, o := range s.settings.Origins {
				settings = append(settings, [2]string{"  " + o.Key, fmt.Sprintf("%s  (%s)", orElse(o.Value, "-"), o.Source)})
			}
			s.screen.Pairs(settings)
			return err
		},
	}
}

// daemonPairs asks the daemon and adds what it says.
func (s *session) daemonPairs(cmd *cobra.Command, pairs [][2]string) ([][2]string, error) {
	info, err := s.client.Info(cmd.Context())
	if err != nil {
		return pairs, err
	}
	states := ui.ProjectStatus(info.Containers)
	pairs = append(pairs,
		[2]string{"Daemon", fmt.Sprintf("pid %d, since %s", info.PID, info.Started.Format(time.DateTime))},
		[2]string{"Containers", orElse(states, "none")},
		[2]string{"At work", orElse(strings.Join(info.Operations, ", "), "nothing")},
		[2]string{"Syncs to disk", fmt.Sprint(info.Syncs)},
		[2]string{"Goroutines", fmt.Sprint(info.Goroutines)},
		[2]string{"Kernel", info.Kernel},
	)
	for _, notice := range info.Notices {
		pairs = append(pairs, [2]string{"Notice", notice})
	}
	for _, name := range slices.Sorted(maps.Keys(info.Features)) {
		pairs = append(pairs, [2]string{"  " + name, info.Features[name]})
	}
	return pairs, nil
}
