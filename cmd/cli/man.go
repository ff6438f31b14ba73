package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual pages out of what the help says, man-pages(7) in
// form. cobra's own generator would link a Markdown parser.
func manCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into a folder", Hidden: true, Args: cobra.ExactArgs(1),
		Annotations: canDryRun(),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := absolute(s.process.Dir, args[0])
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("cannot write manual pages: %w", err)
			}
			return writePages(newRoot(s, nil), dir)
		},
	}
}

func writePages(cmd *cobra.Command, dir string) error {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return nil
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(page(cmd)), 0o644); err != nil {
		return fmt.Errorf("cannot write manual page: %w", err)
	}
	for _, sub := range cmd.Commands() {
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// page is the manual page of a command.
func page(cmd *cobra.Command) string {
	var out strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&out, ".TH %s 1 \"\" mycompose \"User Commands\"\n", roff(strings.ToUpper(name)))
	fmt.Fprintf(&out, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&out, ".SH SYNOPSIS\n.B %s\n", roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(&out, ".SH DESCRIPTION\n%s", paragraphs(text))
	options(&out, "OPTIONS", cmd.NonInheritedFlags(), false)
	if cmd.HasParent() {
		options(&out, "GLOBAL OPTIONS", cmd.NonInheritedFlags(), true)
	}
	if cmd.Example != "" {
		fmt.Fprintf(&out, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(strings.Trim(cmd.Example, "\n")))
	}
	out.WriteString(".SH EXIT STATUS\n0 on success, 130 after Ctrl\\-C, else 1; exec, run and an attached up end with the code of what they ran.\n")
	var also []string
	if cmd.HasParent() {
		also = append(also, strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-")+"(1)")
	}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
			also = append(also, strings.ReplaceAll(sub.CommandPath(), " ", "-")+"(1)")
		}
	}
	if len(also) > 0 {
		fmt.Fprintf(&out, ".SH SEE ALSO\n%s\n", roff(strings.Join(also, ", ")))
	}
	return out.String()
}

// options lists flags: those of the command, or the hidden ones, which are the
// global ones.
func options(out *strings.Builder, title string, flags *pflag.FlagSet, hidden bool) {
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden != hidden || f.Name == "help" {
			return
		}
		if first {
			fmt.Fprintf(out, ".SH %s\n", title)
			first = false
		}
		what, usage := pflag.UnquoteUsage(f)
		head := "--" + f.Name
		if f.Shorthand != "" {
			head = "-" + f.Shorthand + ", " + head
		}
		if what != "" {
			head += " " + what
		}
		fmt.Fprintf(out, ".TP\n.B %s\n%s\n", roff(head), roff(usage))
	})
}

// paragraphs sets text; indented lines stay as they are.
func paragraphs(text string) string {
	var out strings.Builder
	verbatim := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "  ")
		switch {
		case indented && !verbatim:
			out.WriteString(".PP\n.nf\n")
		case !indented && verbatim && line != "":
			out.WriteString(".fi\n")
		}
		verbatim = indented || verbatim && line == ""
		if line == "" && !verbatim {
			out.WriteString(".PP\n")
			continue
		}
		out.WriteString(roff(line) + "\n")
	}
	if verbatim {
		out.WriteString(".fi\n")
	}
	return out.String()
}

// roff quotes what a formatter would take for its own: a backslash, a dash, and
// a dot or an apostrophe at the beginning of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
