package cli

import (
	"slices"
	"strings"
	"testing"
)

// A call builds only the commands it names: each must be found by its name,
// and by a call with flags in front.
func TestACallBuildsTheCommandsItNames(t *testing.T) {
	names := slices.Clone(notBuiltCommands[:])
	for _, g := range groups() {
		for _, c := range g.commands {
			if got := c.make(&session{globals: &globals{}}).Name(); got != c.name {
				t.Errorf("%s makes the command %s", c.name, got)
			}
			names = append(names, c.name)
		}
	}
	for _, name := range names {
		args := []string{"-f", "compose.yaml", name}
		cmd, _, err := newRoot(&session{globals: &globals{}}, args).Traverse(args)
		if err != nil || cmd.Name() != name {
			t.Errorf("%s: found %s, %v", name, cmd.Name(), err)
		}
	}
}

func TestHelpAndUnknownWordsSeeAllCommands(t *testing.T) {
	h := newHost(t)
	whole := h.must("--help").out
	if !strings.Contains(whole, "  volume ") || !strings.Contains(whole, "  up ") {
		t.Errorf("the help lacks commands:\n%s", whole)
	}
	for _, args := range [][]string{{}, {"help"}, {"ps", "--help"}} {
		if got := h.must(args...).out; (got == whole) != (len(args) < 2) {
			t.Errorf("%v prints\n%s", args, got)
		}
	}
	for _, args := range [][]string{{"vers"}, {"vers", "ps"}} {
		if got := h.run(args...).err; !strings.Contains(got, "did you mean `version`?") {
			t.Errorf("%v: %s", args, got)
		}
	}
}
