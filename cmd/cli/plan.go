package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

// codeWouldChange is how `plan` says that there is something to do.
const codeWouldChange = 2

func planCommand(s *session) *cobra.Command {
	var f upFlags
	var format string
	cmd := &cobra.Command{
		Use: "plan [OPTIONS] [SERVICE...]", Short: "Say what up would do, and why; change nothing",
		Long: `Say what up would do, and why; change nothing.

It is the plan that up would carry out, made by the same planner from the same
files: each step with its cause, for a container that is made anew each field
that differs. A service whose image must be pulled or built first is planned as
far as that.

The exit code is 0 if there is nothing to do, 2 if something would change, 1 on
an error. up --dry-run prints the same and exits with 0.`,
		Example: `  mycompose plan                         what up would do
  mycompose plan --format json | jq -r '.steps[] | "\(.id): \(.cause)"'
  mycompose plan -q || mycompose up -d   only if something changed`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error { return runPlan(cmd, s, &f, format, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "text", "text or json")
	flags.BoolVarP(&f.quietBuild, "quiet", "q", false, "Print nothing; the exit code tells")
	flags.BoolVar(&f.UpRequest.Build, "build", false, "As for up --build")
	flags.BoolVar(&f.NoBuild, "no-build", false, "As for up --no-build")
	flags.StringVar(&f.UpRequest.Pull, "pull", "", "As for up --pull: always, missing, never, build")
	flags.BoolVar(&f.ForceRecreate, "force-recreate", false, "As for up --force-recreate")
	flags.BoolVar(&f.NoRecreate, "no-recreate", false, "As for up --no-recreate")
	flags.BoolVar(&f.NoDeps, "no-deps", false, "Without the services that these depend on")
	flags.BoolVar(&f.RemoveOrphans, "remove-orphans", false, "As for up --remove-orphans")
	flags.StringArrayVar(&f.scale, "scale", nil, "Number of replicas: SERVICE=NUMBER, may be given several times")
	return cmd
}

func runPlan(cmd *cobra.Command, s *session, f *upFlags, format string, services []string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("unsupported format %q: text or json", format)
	}
	request, err := f.request(cmd, s, services)
	if err != nil {
		return err
	}
	p, err := s.input(cmd.Context(), services, request.Scale)
	if err != nil {
		return err
	}
	text, data, err := s.plan(cmd, p, request)
	if err != nil {
		return err
	}
	var steps struct {
		Steps []json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal([]byte(data), &steps); err != nil {
		return fmt.Errorf("cannot read the plan: %w", err)
	}
	switch {
	case f.quietBuild:
	case format == "json":
		s.screen.Println(data)
	default:
		s.screen.Println(strings.TrimRight(text, "\n"))
	}
	if len(steps.Steps) > 0 {
		return exitCode(codeWouldChange)
	}
	return nil
}

// plan asks the daemon what an up would do; it changes nothing.
func (s *session) plan(cmd *cobra.Command, p *project, r client.UpRequest) (text, data string, err error) {
	op, err := s.operation(client.Up, p, r)
	if err != nil {
		return "", "", err
	}
	op.DryRun = true
	result, err := s.run(cmd.Context(), op, ui.ProgressOptions{Title: "plan", Plan: func(t, j string) { text, data = t, j }})
	if err != nil {
		return "", "", err
	}
	return text, data, outcome(result)
}
