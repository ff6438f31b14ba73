// Package cli is the command line: one file per command, each of them flags →
// request → one call → exit code. It finds and parses compose files with the
// user's environment and folder (through compose/load, which nobody else
// imports), asks the daemon through cmd/client and shows what comes through
// cmd/ui. It decides nothing about containers.
//
// exit.go alone maps errors to exit codes and hints; nothing here calls
// os.Exit. What docker compose has and we have not is in notbuilt.go: absent
// from --help and answered by name.
package cli
