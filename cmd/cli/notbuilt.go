package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// notBuiltCommands are docker compose's that we do not have yet.
var notBuiltCommands = [...]string{
	"alpha", "bridge", "commit", "publish",
}

// notBuiltFlags are docker compose's, by command ("" for all), that we do not
// have yet.
func notBuiltFlags(command string) []string {
	switch command {
	case "build":
		return []string{"builder", "check", "memory", "m", "print", "provenance", "sbom"}
	case "config":
		return []string{"lock-image-digests", "models", "resolve-image-digests"}
	}
	return nil
}

// notBuiltGlobal are root flags that we do not have yet.
var notBuiltGlobal = [...]string{"all-resources", "compatibility", "insecure-registry", "verbose"}

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
