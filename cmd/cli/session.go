package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/settings"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
)

// session is what the commands share: flags, settings, screen, client.
type session struct {
	process  Process
	globals  *globals
	env      map[string]string
	screen   *ui.Screen
	settings settings.Settings
	place    folder.Place
	build    string
	client   *client.Client // nil until dial
	asked    bool           // credential helpers were
	begun    time.Time
	// grip is that on our terminal, nil without.
	grip atomic.Pointer[grip]
	// heedsHangup: onHangup sees to SIGHUP, not the grip.
	heedsHangup atomic.Bool
	// reload loads what input found unchanged; nil if it loaded.
	reload func(context.Context) (*client.Input, error)
}

func newSession(p Process) *session {
	env := map[string]string{}
	for _, kv := range p.Environment {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			env[name] = value
		}
	}
	return &session{process: p, globals: &globals{}, env: env, begun: time.Now()}
}

// open reads settings and makes the screen; flags have been parsed.
func (s *session) open() error {
	mode, err := ui.ParseMode(orElse(s.globals.progress, s.env["COMPOSE_PROGRESS"]))
	if err != nil {
		return &unknownValue{err.Error(), "it is auto, tty, plain, json or quiet"}
	}
	if s.globals.noAnsi {
		s.globals.ansi = "never"
	}
	ansi := orElse(s.globals.ansi, s.env["COMPOSE_ANSI"])
	switch ansi {
	case "", "auto", "never", "always":
	default:
		return fmt.Errorf("invalid value for --ansi: %q: never, always or auto", ansi)
	}
	s.screen = ui.New(ui.Options{
		Out: s.process.Stdout, Err: s.process.Stderr, Mode: mode, ANSI: ansi, NoColor: s.env["NO_COLOR"] != "",
		OutTerminal: isTerminal(s.process.Stdout), ErrTerminal: isTerminal(s.process.Stderr),
		Size:       func() (int, int) { return terminalSize(s.process.Stderr) },
		ForceColor: forced(s.env["CLICOLOR_FORCE"]) || forced(s.env["FORCE_COLOR"]),
		Calm:       forced(s.env["CI"]) || s.env["TERM"] == "dumb",
		Continued:  s.process.Continued,
	})
	flags := map[string]string{}
	if s.globals.stateDir != "" {
		flags["state-dir"] = s.globals.stateDir
	}
	s.settings, err = settings.Resolve(settings.Input{
		Files:       settings.Files(s.env["HOME"], s.env["XDG_CONFIG_HOME"]),
		Environment: s.process.Environment, Flags: flags,
	})
	if err != nil {
		return err
	}
	s.place, err = store.Locate(s.settings.StateDir, s.env[folder.RunRootVariable])
	return err
}

// forced reads a variable that other tools set to anything but 0 or false.
func forced(value string) bool {
	return value != "" && value != "0" && !strings.EqualFold(value, "false")
}

// dial returns the client of a daemon, which its first request greets, and
// starts if need be.
func (s *session) dial(ctx context.Context) (*client.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	build, err := s.buildID()
	if err != nil {
		return nil, err
	}
	c := client.New(client.Config{
		RunDir: s.place.Run, Build: build,
		Ensure:  func(ctx context.Context) error { return s.process.Keeper.Ensure(ctx, s.place) },
		Replace: func(ctx context.Context) error { return s.process.Keeper.Replace(ctx, s.place) },
		Waiting: s.screen.Notice,
		Keeper:  func() (string, bool) { return keeperState(s.place) },
		Trouble: func(since time.Time) (string, int) { return daemonEnds(s.place.DaemonLog(), since) },
	})
	s.client = c
	return c, nil
}

func (s *session) buildID() (string, error) {
	if s.build == "" {
		id, err := client.BuildID()
		if err != nil {
			return "", err
		}
		s.build = id
	}
	return s.build, nil
}

func (s *session) close() {
	if s.client != nil {
		s.client.Close()
	}
}

// truth reads a variable that is a switch.
func (s *session) truth(name string) bool {
	switch strings.ToLower(s.env[name]) {
	case "1", "true", "yes", "on", "t", "y":
		return true
	}
	return false
}

func orElse(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalSize is 80 x 24 where there is no terminal to ask.
func terminalSize(stream any) (columns, rows int) {
	if f, ok := stream.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns, rows
		}
	}
	return 80, 24
}
