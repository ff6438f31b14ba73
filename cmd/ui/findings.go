package ui

import (
	"fmt"
	"strings"
)

// Finding is one line of `doctor`.
type Finding struct{ Grade, Subject, Text, Cure string }

// Findings writes them to standard output, the cure behind an arrow.
func (s *Screen) Findings(list []Finding) {
	codes := map[string]string{"ok": "32", "weak": "33", "lacks": "31"}
	width := 0
	for _, f := range list {
		width = max(width, cells(f.Subject))
	}
	var out strings.Builder
	for _, f := range list {
		grade := fmt.Sprintf("%-5s", f.Grade)
		if s.colour(s.o.OutTerminal) {
			grade = "\x1b[" + codes[f.Grade] + "m" + grade + "\x1b[0m"
		}
		fmt.Fprintf(&out, "%s  %s  %s", grade, pad(f.Subject, width), clean(f.Text))
		if f.Cure != "" {
			out.WriteString(" → " + f.Cure)
		}
		out.WriteByte('\n')
	}
	fmt.Fprint(s, out.String())
}
