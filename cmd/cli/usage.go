package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mycompose/mycompose/compose/load"
)

// unknownCommand answers a word that is no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	among := cmd
	if !cmd.HasParent() { // it has been made as far as this call needs it
		among = newRoot(&session{globals: &globals{}}, nil)
	}
	if known(args[0]) {
		return fmt.Errorf("in front of %q stands a flag whose value begins with -; write it with =, such as --parallel=-1\nsee '%s --help'", args[0], cmd.CommandPath())
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	near := load.Nearest(args[0], func(yield func(string) bool) {
		for _, c := range among.Commands() {
			if !c.Hidden && !yield(c.Name()) {
				return
			}
		}
	})
	if begun := among.SuggestionsFor(args[0]); near == "" && len(begun) > 0 {
		near = slices.Min(begun) // the word is the begin of one
	}
	if near != "" {
		text += fmt.Sprintf("; did you mean `%s`?", near)
	}
	return fmt.Errorf("%s\nsee '%s --help'", text, cmd.CommandPath())
}

// firstWord is the word in the place of the command: behind the global flags and
// their values. "" if there is none.
func firstWord(flags *pflag.FlagSet, args []string) string {
	for i := 0; i < len(args); i++ {
		name, dashed := strings.CutPrefix(args[i], "-")
		if !dashed {
			return args[i]
		}
		long, isLong := strings.CutPrefix(name, "-")
		var f *pflag.Flag
		switch {
		case strings.Contains(args[i], "="):
			continue
		case isLong:
			f = flags.Lookup(long)
		case len(name) == 1:
			f = flags.ShorthandLookup(name)
		}
		if f != nil && f.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return ""
}

// parsed are the words of strconv that say nothing to people.
var parsed = regexp.MustCompile(`strconv\.Parse(Int|Uint|Bool|Float): parsing "[^"]*": (invalid syntax|value out of range)`)

// inWords is an error of flags without the words of strconv.
func inWords(err error) string {
	return parsed.ReplaceAllStringFunc(err.Error(), func(m string) string {
		if strings.Contains(m, "ParseBool") {
			return "true or false"
		}
		return "not such a number"
	})
}

// inUse adds to a wrong number of arguments how they are written.
func inUse(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil:
			return nil
		case strings.HasPrefix(err.Error(), "unknown command") && !strings.Contains(err.Error(), "\n"): // cobra.NoArgs
			err = fmt.Errorf("unexpected argument %q", args[0])
		case !strings.Contains(err.Error(), "arg(s)"):
			return err
		}
		_, rest, _ := strings.Cut(cmd.Use, " ")
		use := strings.TrimSpace(cmd.CommandPath() + " " + strings.ReplaceAll(rest, "\n  ", "` or `"))
		return &unknownValue{err.Error(), fmt.Sprintf("write `%s`; see '%s --help'", use, cmd.CommandPath())}
	}
}

// addHelp makes the commands help and completion, which answer words that they do
// not know. They write to where root does by now. args are those of the call.
func addHelp(root *cobra.Command, args []string) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			show := cmd.Run
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
				if found, _, err := root.Find(args); len(args) > 0 && (err != nil || found == root) {
					return unknownCommand(root, args)
				}
				show(cmd, args)
				return nil
			}
		case "completion":
			cmd.Args, cmd.RunE = unknownCommand, helpOnly
		}
	}
}

// flagErrors answers flags that are wrong: one that we do not have yet is named
// as such, one that is mistyped gets a suggestion. args are those of the call.
func flagErrors(args []string) func(*cobra.Command, error) error {
	return func(cmd *cobra.Command, err error) error {
		if !cmd.HasParent() { // the flag may be fine and the command mistyped
			if word := firstWord(cmd.Flags(), args); word != "" && !known(word) {
				return unknownCommand(cmd, []string{word})
			}
		}
		name := ""
		if rest, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
			name = rest
		} else if rest, ok := strings.CutPrefix(err.Error(), "unknown shorthand flag: '"); ok {
			name, _, _ = strings.Cut(rest, "'")
		}
		for _, flag := range append(notBuiltFlags(cmd.Name()), notBuiltGlobal[:]...) {
			if flag == name {
				return fmt.Errorf("not built yet: %s %s%s", cmd.CommandPath(), strings.Repeat("-", min(2, len(name))), name)
			}
		}
		text := inWords(err)
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := load.Nearest(name, slices.Values(names)); len(name) > 1 && near != "" {
			text += "; did you mean --" + near + "?"
		}
		return fmt.Errorf("%s\nsee '%s --help'", text, cmd.CommandPath())
	}
}
