package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

func eventsCommand(s *session) *cobra.Command {
	var asJSON bool
	var since, until string
	cmd := &cobra.Command{
		Use: "events [OPTIONS] [SERVICE...]", Short: "Show what happens to containers",
		Example: `  mycompose events --json          one object per line
  mycompose events --since 10m --until 0s`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			from, sinceErr := parseTime("since", since, now)
			to, untilErr := parseTime("until", until, now)
			if err := errors.Join(sinceErr, untilErr); err != nil {
				return err
			}
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			return s.events(cmd.Context(), client.EventRequest{Project: p.name, Services: args, Since: from, Until: to}, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "One JSON object per line")
	cmd.Flags().StringVar(&since, "since", "", "From a time on: 10m, 2026-11-21T08:00:00Z; the daemon keeps the last thousand")
	cmd.Flags().StringVar(&until, "until", "", "Up to a time; -1m is in a minute")
	return cmd
}

// events shows events until their end or Ctrl-C.
func (s *session) events(ctx context.Context, q client.EventRequest, asJSON bool) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	caught, release := s.process.Catch()
	defer release()
	done := make(chan error, 1)
	go func() { // received below
		done <- c.Events(ctx, q, func(e spec.Event) error { return s.screen.Happened(e, asJSON) })
	}()
	select {
	case err := <-done:
		return err
	case <-caught:
		cancel()
		<-done
		return &exit{code: codeInterrupted}
	}
}
