package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

// psFlags are the flags of `ps`.
type psFlags struct {
	all, quiet, services, noTrunc, orphans bool
	format                                 string
	status, filter                         []string
}

func psCommand(s *session) *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use: "ps [OPTIONS] [SERVICE...]", Short: "List containers of the project",
		Example: `  mycompose ps -a                  ended ones too, with their exit codes
  mycompose ps --format json       one object per line
  mycompose ps --format '{{.Service}} {{.Status}}'`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			keep, err := f.selection()
			if err != nil {
				return err
			}
			p, err := s.byName(cmd, args)
			if err != nil {
				return err
			}
			containers, err := s.containersOf(cmd, p, args, func(c spec.Container) bool {
				return keep(c) && (f.orphans || slices.Contains(p.services, c.Blueprint.Labels[labelService]))
			})
			if err != nil {
				return err
			}
			return f.show(s, containers)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.all, "all", "a", false, "Ended and created ones too")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "Only ids")
	flags.BoolVar(&f.services, "services", false, "Only names of services")
	flags.BoolVar(&f.noTrunc, "no-trunc", false, "Whole ids and commands")
	flags.BoolVar(&f.orphans, "orphans", true, "Containers of services that the file no longer has, too")
	flags.StringVar(&f.format, "format", "table", "table, json or a Go template")
	flags.StringArrayVar(&f.status, "status", nil, "Only those in a state: created, running, paused, restarting, exited")
	flags.StringArrayVar(&f.filter, "filter", nil, "status=STATE, as --status")
	return cmd
}

// knownStates are those of a container; ours are never in the last two.
var knownStates = [...]string{"created", "running", "paused", "restarting", "exited", "removing", "dead"}

// selection says which containers to list.
func (f *psFlags) selection() (func(spec.Container) bool, error) {
	states := slices.Clone(f.status)
	for _, filter := range f.filter {
		key, value, found := strings.Cut(filter, "=")
		if !found {
			return nil, fmt.Errorf("arguments to --filter should be in form KEY=VAL")
		}
		if key != "status" {
			return nil, &unknownValue{fmt.Sprintf("unknown filter %s", key), "the filter is status=STATE, such as status=exited"}
		}
		states = append(states, value)
	}
	for _, state := range states {
		if !slices.Contains(knownStates[:], state) {
			return nil, &unknownValue{fmt.Sprintf("unknown state %q", state), "the states are " + strings.Join(knownStates[:5], ", ")}
		}
	}
	return func(c spec.Container) bool {
		if len(states) > 0 {
			return slices.Contains(states, string(c.Status.State))
		}
		return f.all || c.Status.Up()
	}, nil
}

func (f *psFlags) show(s *session, containers []spec.Container) error {
	switch {
	case f.services:
		for _, name := range servicesOf(containers) {
			s.screen.Println(name)
		}
		return nil
	case f.quiet:
		for _, c := range containers {
			s.screen.Println(c.Blueprint.ID)
		}
		return nil
	}
	if err := s.screen.Processes(containers, f.format, f.noTrunc); err != nil {
		return err
	}
	if f.format == "table" {
		s.screen.Exposure(containers)
	}
	return nil
}
