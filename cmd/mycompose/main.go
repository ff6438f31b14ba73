// Command mycompose is the command line and, as `mycompose daemon`, the
// resident process behind it. The keeper starts the latter; nobody else does.
package main

import (
	"os"

	"github.com/mycompose/mycompose/cmd/cli"
	"github.com/mycompose/mycompose/cmd/daemon"
)

// version is set by make build: -ldflags "-X main.version=v0.1.0".
var version = "v0.0.0-dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "daemon" {
		os.Exit(daemon.Main(version, os.Args[2:]))
	}
	os.Exit(cli.Main(version, cli.HostKeeper{}))
}
