package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

// logsFlags are the flags of `logs`.
type logsFlags struct {
	follow, noColor, noPrefix, timestamps bool
	tail, since, until                    string
	index                                 int
}

func logsCommand(s *session) *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use: "logs [OPTIONS] [SERVICE...]", Short: "Show what containers wrote, merged by time",
		Example: `  mycompose logs -f --tail 20      the last lines of each, and what comes
  mycompose logs --since 10m web   ten minutes of web`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := f.request(time.Now())
			if err != nil {
				return err
			}
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			request.Project, request.Services = p.name, args
			return s.logs(cmd.Context(), request, ui.LogOptions{
				NoColor: f.noColor, NoPrefix: f.noPrefix, Timestamps: f.timestamps, Buffered: !f.follow,
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "Go on with what comes")
	flags.StringVarP(&f.tail, "tail", "n", "all", "Number of last lines of each container")
	flags.StringVar(&f.since, "since", "", "From a time on: 10m, 2026-11-21T08:00:00Z")
	flags.StringVar(&f.until, "until", "", "Up to a time")
	flags.BoolVarP(&f.timestamps, "timestamps", "t", false, "Each line with its time")
	flags.BoolVar(&f.noColor, "no-color", false, "Without colour")
	flags.BoolVar(&f.noPrefix, "no-log-prefix", false, "Without the service's name")
	flags.IntVar(&f.index, "index", 0, "Only the replica with this number")
	return cmd
}

func (f *logsFlags) request(now time.Time) (client.LogRequest, error) {
	r := client.LogRequest{Follow: f.follow, Join: f.follow, Index: f.index, Tail: -1}
	switch n, err := strconv.Atoi(f.tail); {
	case err != nil && f.tail != "all":
		return r, &unknownValue{fmt.Sprintf("invalid value for --tail: %q", f.tail), "write a number of lines, or all"}
	case err == nil && n >= 0:
		r.Tail = n
	}
	var sinceErr, untilErr error
	r.Since, sinceErr = parseTime("since", f.since, now)
	r.Until, untilErr = parseTime("until", f.until, now)
	return r, errors.Join(sinceErr, untilErr)
}

// logs shows a log stream until it ends or somebody presses Ctrl-C.
func (s *session) logs(ctx context.Context, request client.LogRequest, o ui.LogOptions) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	caught, release := s.process.Catch()
	defer release()
	done := make(chan error, 1)
	show := s.screen.Logs(o)
	go func() { done <- s.showLogs(ctx, c, request, show, func(end) {}) }() // received below
	select {
	case err := <-done:
		return err
	case <-caught:
		cancel()
		<-done
		return &exit{code: codeInterrupted}
	}
}
