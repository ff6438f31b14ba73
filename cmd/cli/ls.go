package cli

import (
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func lsCommand(s *session) *cobra.Command {
	var all, quiet bool
	var format string
	var filters []string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Short: "List projects on this machine", Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			keep, err := projectFilter(filters)
			if err != nil {
				return err
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			found, err := c.Projects(cmd.Context())
			if err != nil {
				return err
			}
			rows := projectRows(found, all, keep)
			if !quiet {
				return s.screen.Projects(rows, format)
			}
			for _, r := range rows {
				s.screen.Println(r.Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Stopped ones too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	cmd.Flags().StringArrayVar(&filters, "filter", nil, "name=PART of the name")
	return cmd
}

func projectFilter(filters []string) (func(name string) bool, error) {
	var parts []string
	for _, filter := range filters {
		key, value, found := strings.Cut(filter, "=")
		if !found || key != "name" {
			return nil, fmt.Errorf("invalid filter '%s'", key)
		}
		parts = append(parts, value)
	}
	return func(name string) bool {
		for _, part := range parts {
			if !strings.Contains(name, part) {
				return false
			}
		}
		return true
	}, nil
}

// projectRows turns projects into rows: those with something running, or all.
func projectRows(found []client.Project, all bool, keep func(string) bool) []ui.Project {
	var rows []ui.Project
	for _, p := range found {
		states := maps.Clone(p.States)
		up := states[spec.StateRunning] + states[spec.StateRestarting] + states[spec.StatePaused]
		if !keep(p.Name) || up == 0 && !all {
			continue
		}
		if !all { // what runs is what was asked for
			delete(states, spec.StateExited)
			delete(states, spec.StateCreated)
		}
		rows = append(rows, ui.Project{
			Name: p.Name, Status: ui.ProjectStatus(states), ConfigFiles: strings.Join(p.ComposeFiles, ","),
		})
	}
	return rows
}
