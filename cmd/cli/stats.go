package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

// statsFlags are the flags of `stats`.
type statsFlags struct {
	all, noStream, noTrunc bool
	format                 string
}

// statsPause is the time between two readings: processor use is the difference.
const statsPause = time.Second

func statsCommand(s *session) *cobra.Command {
	var f statsFlags
	cmd := &cobra.Command{
		Use: "stats [OPTIONS] [SERVICE]", Short: "Show what containers use, again each second",
		Example: `  mycompose stats --no-stream
  mycompose stats --no-stream --format '{{.Name}} {{.MemUsage}}'`,
		Annotations: canDryRun(), Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			caught, release := s.process.Catch()
			defer release()
			before := map[string]spec.Stats{}
			for first := true; ; first = false {
				rows, err := s.usage(cmd, p, args, &f, before)
				if err != nil {
					return err
				}
				if !first {
					if err := s.screen.Stats(rows, f.format, !f.noStream); err != nil || f.noStream {
						return err
					}
				}
				select {
				case <-caught:
					return &exit{code: codeInterrupted}
				case <-time.After(statsPause):
				}
			}
		},
	}
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "Ended ones too")
	cmd.Flags().BoolVar(&f.noStream, "no-stream", false, "Once")
	cmd.Flags().BoolVar(&f.noTrunc, "no-trunc", false, "Whole ids")
	cmd.Flags().StringVar(&f.format, "format", "table", "table, json or a Go template")
	return cmd
}

// usage reads what containers use now and compares with before, which it
// renews.
func (s *session) usage(cmd *cobra.Command, p *project, services []string, f *statsFlags, before map[string]spec.Stats) ([]ui.Usage, error) {
	containers, err := s.containersOf(cmd, p, services, func(c spec.Container) bool { return f.all || c.Status.Up() })
	if err != nil {
		return nil, err
	}
	c, err := s.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	var rows []ui.Usage
	for _, container := range containers {
		now, err := statsOf(cmd.Context(), c, container.Blueprint.ID)
		if err != nil {
			return nil, err
		}
		earlier, known := before[container.Blueprint.ID]
		if !known {
			earlier = now
		}
		rows = append(rows, ui.UsageOf(container, earlier, now, f.noTrunc))
		before[container.Blueprint.ID] = now
	}
	return rows, nil
}

// statsOf reads a container; one that is gone meanwhile uses nothing.
func statsOf(ctx context.Context, c *client.Client, id string) (spec.Stats, error) {
	stats, err := c.ContainerStats(ctx, id)
	if errors.Is(err, spec.ErrNotFound) {
		return spec.Stats{Time: time.Now()}, nil
	}
	return stats, err
}
