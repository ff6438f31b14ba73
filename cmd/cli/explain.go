package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func explainCommand(s *session) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "explain [OPTIONS] SERVICE [SERVICE...]", Short: "Say why a service is in its present state, and why it was last recreated",
		Long: `Say why each container of a service is in its present state, why and when it
was made, and what the next up would do to it.

It works from the stored project too, where there is no file any more; then it
does not say what the next up would do.`,
		Example: `  mycompose explain web
  mycompose explain --format json web db`,
		Args:        cobra.MinimumNArgs(1),
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error { return runExplain(cmd, s, format, args) },
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// plannedStep is what the plan's JSON says of a step.
type plannedStep struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Target  string   `json:"target"`
	Service string   `json:"service"`
	Cause   string   `json:"cause"`
	Reasons []string `json:"reasons,omitempty"`
}

// explanation is one service in JSON.
type explanation struct {
	state.Explanation
	// Next are the steps of the next up; nil if no file tells.
	Next []plannedStep `json:"next"`
}

func runExplain(cmd *cobra.Command, s *session, format string, services []string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("unsupported format %q: text or json", format)
	}
	ctx := cmd.Context()
	p, err := s.known(ctx)
	if err != nil {
		return err
	}
	if err := p.check(services); err != nil {
		return err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	next, planErr := s.next(cmd, p)
	var failed error
	for _, service := range services {
		e, err := c.Explain(ctx, p.name, service)
		if errors.Is(err, spec.ErrNotFound) && next != nil { // the file knows it, no up has kept it
			e, err = state.Explanation{Project: p.name, Service: service, Absent: state.NeverMade}, nil
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		steps := stepsOf(next, service)
		if format == "json" {
			data, err := json.Marshal(explanation{e, steps})
			if err != nil {
				return fmt.Errorf("cannot write JSON: %w", err)
			}
			s.screen.Println(string(data))
			continue
		}
		s.screen.Explain(e, lines(next, planErr, steps))
	}
	return failed
}

// next is the plan of the next up; nil if no file says what is wanted.
func (s *session) next(cmd *cobra.Command, known *project) ([]plannedStep, error) {
	switch {
	case known.wrong:
		return nil, errors.New("the compose file has errors")
	case !known.found:
		return nil, errors.New("there is no compose file here")
	}
	p, err := s.input(cmd.Context(), nil, nil)
	if err != nil {
		return nil, err
	}
	_, data, err := s.plan(cmd, p, client.UpRequest{IgnoreOrphans: true})
	if err != nil {
		return nil, err
	}
	var out struct {
		Steps []plannedStep `json:"steps"`
	}
	if err := json.Unmarshal([]byte(data), &out); err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	return append([]plannedStep{}, out.Steps...), nil
}

func stepsOf(all []plannedStep, service string) []plannedStep {
	if all == nil {
		return nil
	}
	out := []plannedStep{}
	for _, step := range all {
		if step.Service == service || step.Kind == "containers of service" && step.Target == service {
			out = append(out, step)
		}
	}
	return out
}

// lines are what the next up would do, in words.
func lines(plan []plannedStep, err error, steps []plannedStep) []string {
	switch {
	case err != nil:
		first, _, _ := strings.Cut(err.Error(), "\n")
		return []string{"unknown: " + first}
	case plan == nil:
		return nil
	case len(steps) == 0:
		return []string{"nothing to do"}
	}
	var out []string
	for _, step := range steps {
		out = append(out, step.Kind+" "+step.Target+": "+step.Cause)
	}
	return out
}
