package ui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/state"
)

// Explain writes why a service is as it is to standard output; next is what the
// next up would do to it.
func (s *Screen) Explain(e state.Explanation, next []string) {
	var out strings.Builder
	if e.Absent != "" {
		fmt.Fprintf(&out, "%s has no container: %s\n", e.Service, e.Absent)
	}
	for _, c := range e.Containers {
		explainContainer(&out, c, s.o.Now())
	}
	for i, l := range next {
		lead := "  next up    "
		if i > 0 {
			lead = strings.Repeat(" ", len(lead))
		}
		out.WriteString(lead + l + "\n")
	}
	fmt.Fprint(s, out.String())
}

func explainContainer(out *strings.Builder, c state.Explained, now time.Time) {
	health := ""
	if c.Health != "" {
		health = " (" + string(c.Health) + ")"
	}
	since := ""
	if !c.Since.IsZero() {
		since = " for " + strings.ToLower(ago(now.Sub(c.Since)))
	}
	fmt.Fprintf(out, "%s  %s%s%s\n", c.Name, c.State, health, since)
	for _, why := range c.Why {
		fmt.Fprintf(out, "  why        %s\n", why)
	}
	if c.Probe != "" {
		fmt.Fprintf(out, "  probe      %s\n", strings.ReplaceAll(cleanLines(c.Probe), "\n", "\n             "))
	}
	made := "made"
	if c.Recreated {
		made = "recreated"
	}
	fmt.Fprintf(out, "  %-11s%s ago: %s\n", made, strings.ToLower(ago(now.Sub(c.MadeAt))), cmp.Or(c.MadeBecause, "an older mycompose did not keep why"))
}

// cleanLines is clean for each line.
func cleanLines(text string) string {
	var out []string
	for l := range strings.Lines(text) {
		out = append(out, clean(l))
	}
	return strings.Join(out, "\n")
}
