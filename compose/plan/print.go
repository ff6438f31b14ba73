package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteText prints the plan for people: one numbered line per step, its cause,
// and the numbers of the steps it waits for.
func (p *Plan) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, warning := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	switch len(p.Steps) {
	case 0:
		fmt.Fprintf(&b, "project %s: nothing to do\n", p.Project)
	case 1:
		fmt.Fprintf(&b, "project %s: 1 step\n", p.Project)
	default:
		fmt.Fprintf(&b, "project %s: %d steps\n", p.Project, len(p.Steps))
	}
	number := make(map[string]int, len(p.Steps))
	for i := range p.Steps {
		number[p.Steps[i].ID] = i + 1
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(&b, "%3d. %s %s", i+1, s.Kind, s.Target)
		if s.Until != "" {
			fmt.Fprintf(&b, " to be %s", s.Until)
		}
		if s.Cause != "" {
			fmt.Fprintf(&b, ": %s", s.Cause)
		}
		if len(s.After) > 0 {
			numbers := make([]int, len(s.After))
			for i, id := range s.After {
				numbers[i] = number[id]
			}
			slices.Sort(numbers)
			fmt.Fprintf(&b, " (after %s)", strings.Trim(fmt.Sprint(numbers), "[]"))
		}
		b.WriteByte('\n')
	}
	if len(p.Unchanged) > 0 {
		fmt.Fprintf(&b, "unchanged: %s\n", strings.Join(p.Unchanged, ", "))
	}
	if len(p.Done) > 0 {
		fmt.Fprintf(&b, "done: %s\n", strings.Join(p.Done, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is what WriteText prints.
func (p *Plan) String() string {
	var b strings.Builder
	_ = p.WriteText(&b) // a strings.Builder never fails
	return b.String()
}

// MarshalJSON gives the plan without what a step needs to be done: no
// blueprint, so no environment, and no registry's password.
func (p *Plan) MarshalJSON() ([]byte, error) {
	steps := p.Steps
	if steps == nil {
		steps = []Step{}
	}
	return json.Marshal(struct {
		Project   string   `json:"project"`
		Steps     []Step   `json:"steps"`
		Unchanged []string `json:"unchanged,omitempty"`
		Done      []string `json:"done,omitempty"`
		Pending   []string `json:"pending,omitempty"`
		Warnings  []string `json:"warnings,omitempty"`
	}{p.Project, steps, p.Unchanged, p.Done, p.Pending, p.Warnings})
}
