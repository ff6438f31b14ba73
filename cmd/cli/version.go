package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func versionCommand(s *session) *cobra.Command {
	var short bool
	var format string
	cmd := &cobra.Command{
		Use: "version [OPTIONS]", Short: "Show the version", Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(*cobra.Command, []string) error { return showVersion(s, short, format) },
	}
	cmd.Flags().BoolVar(&short, "short", false, "Only the number")
	cmd.Flags().StringVarP(&format, "format", "f", "", "pretty or json")
	return cmd
}

// showVersion needs no settings and no daemon.
func showVersion(s *session, short bool, format string) error {
	number := s.process.Version
	var err error
	switch {
	case short:
		_, err = fmt.Fprintln(s.process.Stdout, strings.TrimPrefix(number, "v"))
	case format == "json":
		_, err = fmt.Fprintf(s.process.Stdout, "{\"version\":%q}\n", number)
	case format == "" || format == "pretty":
		_, err = fmt.Fprintln(s.process.Stdout, "mycompose version "+number)
	default:
		err = fmt.Errorf("invalid value for --format: %q: pretty or json", format)
	}
	return err
}
