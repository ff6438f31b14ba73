package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mycompose/mycompose/compose/load"
)

// notBuiltCommands are docker compose's that we do not have yet.
var notBuiltCommands = [...]string{
	"alpha", "bridge", "commit", "convert", "cp", "export", "publish", "push",
}

// notBuiltFlags are docker compose's, by command ("" for all), that we do not
// have yet.
func notBuiltFlags(command string) []string {
	switch command {
	case "up":
		return []string{"yes", "y"}
	case "build":
		return []string{"builder", "check", "memory", "m", "print", "provenance", "push", "sbom", "ssh"}
	case "config":
		return []string{"lock-image-digests", "models", "no-consistency", "no-env-resolution", "no-interpolate",
			"no-normalize", "no-path-resolution", "resolve-image-digests", "variables"}
	case "run":
		return []string{"cap-add", "cap-drop"}
	case "kill":
		return []string{"remove-orphans"}
	}
	return nil
}

// notBuiltGlobal are root flags that we do not have yet.
var notBuiltGlobal = [...]string{"all-resources", "compatibility", "insecure-registry", "no-ansi", "parallel", "verbose", "workdir"}

// addNotBuilt adds hidden commands that say so.
func addNotBuilt(root *cobra.Command, need func(string) bool) {
	for _, name := range notBuiltCommands {
		if !need(name) {
			continue
		}
		root.AddCommand(&cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error { return fmt.Errorf("not built yet: %s", name) },
		})
	}
}

// flagError names a flag of docker compose that we do not have.
func flagError(cmd *cobra.Command, err error) error {
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
	text := err.Error()
	if near := nearestFlag(cmd, name); len(name) > 1 && near != "" {
		text += "; did you mean --" + near + "?"
	}
	return fmt.Errorf("%s\nsee '%s --help'", text, cmd.CommandPath())
}

// nearestFlag is the flag of a command that a typing error most likely meant.
func nearestFlag(cmd *cobra.Command, name string) string {
	return load.Nearest(name, func(yield func(string) bool) {
		more := true
		cmd.Flags().VisitAll(func(f *pflag.Flag) { more = more && yield(f.Name) })
	})
}
