package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/doctor"
	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/cmd/ui"
)

func doctorCommand(s *session) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what this host lacks for running containers, and the cure",
		Long: `Say what this host lacks for running containers, a line for each thing and the
one line that cures it: kernel, rights, cgroups, the state folder's file system,
firewall, forwarding, DNS, limits, inotify. It starts nothing and changes nothing.

The exit code is 0 if containers can run, also where something is weak, else 1.`,
		Example: `  mycompose doctor
  mycompose doctor --format json | jq -r 'select(.grade != "ok") | .cure'`,
		Args: cobra.NoArgs, Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, s, format) },
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json, one object per line")
	return cmd
}

func runDoctor(cmd *cobra.Command, s *session, format string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("unsupported format %q: text or json", format)
	}
	facts := doctor.Look("/", s.place.State)
	facts.Parts = parts.Present()
	findings := append(doctor.Examine(facts), s.notices(cmd)...)
	var lines []ui.Finding
	for _, f := range findings {
		if format == "json" {
			data, err := json.Marshal(f)
			if err != nil {
				return fmt.Errorf("cannot write JSON: %w", err)
			}
			s.screen.Println(string(data))
			continue
		}
		lines = append(lines, ui.Finding{Grade: string(f.Grade), Subject: f.Subject, Text: f.Text, Cure: f.Cure})
	}
	s.screen.Findings(lines)
	if doctor.Worst(findings) == doctor.Lacks {
		return exitCode(1)
	}
	return nil
}

// notices are those of a daemon that runs: what was damaged and set aside. None
// is started for that.
func (s *session) notices(cmd *cobra.Command) []doctor.Finding {
	build, err := s.buildID()
	if err != nil {
		return nil
	}
	c := client.New(client.Config{RunDir: s.place.Run, Build: build})
	defer c.Close()
	info, err := c.Info(cmd.Context())
	if err != nil {
		return nil
	}
	var out []doctor.Finding
	for _, notice := range info.Notices {
		first, _, _ := strings.Cut(notice, "\n")
		out = append(out, doctor.Finding{Grade: doctor.Weak, Subject: "state", Text: first, Cure: "mycompose up makes it anew from the compose file"})
	}
	return out
}
