package cli

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

func networkCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "network", Short: "Networks: ls, inspect, create, rm, prune, connect, disconnect",
		Args: unknownCommand, RunE: helpOnly,
	}
	cmd.AddCommand(
		networkListCommand(s), networkInspectCommand(s), networkCreateCommand(s), networkRemoveCommand(s),
		networkPruneCommand(s), networkConnectCommand(s), networkDisconnectCommand(s),
	)
	return cmd
}

func networkListCommand(s *session) *cobra.Command {
	var quiet, full bool
	var format string
	var filters []string
	cmd := &cobra.Command{
		Use: "ls [OPTIONS]", Aliases: []string{"list"}, Short: "List networks; of one project with -p", Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			wanted, err := parseFilters(filters)
			if err != nil {
				return err
			}
			all, err := c.Networks(cmd.Context())
			if err != nil {
				return err
			}
			if name := s.globals.projectName; name != "" {
				all = slices.DeleteFunc(all, func(n spec.Network) bool { return n.Project != name })
			}
			if all, err = ui.FilterNetworks(all, wanted); err != nil {
				return err
			}
			if quiet {
				format = "{{.ID}}"
			}
			return s.screen.Networks(all, format, full)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only ids")
	cmd.Flags().BoolVar(&full, "no-trunc", false, "Whole ids")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a Go template")
	cmd.Flags().StringArrayVarP(&filters, "filter", "f", nil, "driver=bridge, label=a=b, name=…, id=…, dangling=true, scope=local, type=custom")
	return cmd
}

// parseFilters reads key=value by key.
func parseFilters(list []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, f := range list {
		key, value, ok := strings.Cut(f, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("invalid filter %q: write key=value", f)
		}
		out[key] = append(out[key], value)
	}
	return out, nil
}

func networkInspectCommand(s *session) *cobra.Command {
	var format string
	var verbose bool
	cmd := &cobra.Command{
		Use: "inspect [OPTIONS] NETWORK...", Args: cobra.MinimumNArgs(1), Annotations: canDryRun(),
		Short: "Show networks as JSON: what is attached, which rules and names are live",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var found []spec.NetworkDetails
			var wrong []error
			for _, word := range args {
				d, err := c.Network(cmd.Context(), word)
				if err != nil {
					wrong = append(wrong, err)
					continue
				}
				found = append(found, d)
			}
			return errors.Join(append(wrong, s.screen.NetworkDetails(found, format))...)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "json or a Go template")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "As without it: all there is is shown")
	return cmd
}

func networkRemoveCommand(s *session) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm NETWORK...", Aliases: []string{"remove"}, Short: "Remove networks that no container is on", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			var wrong []error
			for _, word := range args {
				err := c.RemoveNetwork(cmd.Context(), word)
				if force && errors.Is(err, spec.ErrNotFound) {
					continue
				}
				if err != nil {
					wrong = append(wrong, err)
					continue
				}
				s.screen.Println(word)
			}
			return errors.Join(wrong...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "A network that does not exist is no error")
	return cmd
}

func networkPruneCommand(s *session) *cobra.Command {
	var force bool
	var filters []string
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove networks that no container uses; of one project with -p", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := pruneRequest(filters, time.Now())
			if err != nil {
				return err
			}
			request.Project = s.globals.projectName
			if !force && !s.confirmed("WARNING! This will remove all networks not used by at least one container.") {
				return nil
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := c.PruneNetworks(cmd.Context(), request)
			if len(gone) > 0 {
				s.screen.Println("Deleted Networks:\n" + strings.Join(gone, "\n") + "\n")
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().StringArrayVar(&filters, "filter", nil, "until=24h or a time, label=a=b, label!=a=b")
	return cmd
}

// pruneRequest reads the filters of prune; now is where durations count from.
func pruneRequest(filters []string, now time.Time) (client.NetworkPrune, error) {
	r := client.NetworkPrune{Labels: map[string]string{}, NotLabels: map[string]string{}}
	wanted, err := parseFilters(filters)
	if err != nil {
		return r, err
	}
	for key, values := range wanted {
		for _, v := range values {
			label, value, _ := strings.Cut(v, "=")
			switch key {
			case "label":
				r.Labels[label] = value
			case "label!":
				r.NotLabels[label] = value
			case "until":
				if r.Before, err = momentOf(v, now); err != nil {
					return r, err
				}
			default:
				return r, fmt.Errorf("invalid filter %q; those of prune are label, label! and until", key)
			}
		}
	}
	return r, nil
}

// momentOf reads how long ago, or when.
func momentOf(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid filter until=%s: write 24h or 2026-01-02T15:04:05", text)
}

// confirmed warns a person and asks; where there is none the answer is no.
func (s *session) confirmed(warning string) bool {
	s.screen.Println(warning)
	if !isTerminal(s.process.Stdin) {
		s.screen.Notice("nothing was removed: give --force where nobody can be asked")
		return false
	}
	fmt.Fprint(s.screen, "Are you sure you want to continue? [y/N] ")
	line, err := bufio.NewReader(s.process.Stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return err == nil && (answer == "y" || answer == "yes")
}
