package ui

import (
	"strings"
	"testing"
)

func TestProblemsShowTheirLinesWithACaret(t *testing.T) {
	list := []Problem{
		{File: "compose.yaml", Line: 3, Column: 5, Message: "unknown key services.web.imagee", Hint: "did you mean `image`?", Source: "    imagee: busybox\r"},
		{File: "compose.yaml", Line: 12, Column: 11, Message: "not a port", Source: `    - "８080:x" # 日本`},
		{File: "compose.yaml", Line: 14, Column: 9, Message: "the line is indented with a tab", Source: "\t\tname: [a, b]"},
		{File: "compose.yaml", Line: 120, Column: 150, Message: "far away", Source: strings.Repeat("word ", 29) + "then wrong, " + strings.Repeat("word ", 30)},
		{File: "compose.yaml", Line: 5, Column: 40, Message: "behind the end", Source: "short"},
		{File: ".env", Line: 2, Column: 1, Message: "no excerpt of what may be secret"},
		{File: "compose.yaml", Message: "cannot read compose file: permission denied"},
		{Message: "without a place"},
	}
	for _, mode := range []Mode{ModePlain, ModeJSON, ModeQuiet} {
		s, out, err := screen(mode, nil)
		s.Problems(list, "one\ntwo")
		if out.Len() > 0 {
			t.Errorf("standard output: %s", out)
		}
		golden(t, "problems-"+string(mode), err.Bytes())
	}
}
