package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// Process is what a command gets from the operating system.
type Process struct {
	// Args are the arguments behind the program's name.
	Args []string
	// Environment is "K=V" as in os.Environ, Dir the current folder.
	Environment []string
	Dir         string
	Stdin       io.Reader
	Stdout      io.Writer
	Stderr      io.Writer
	// Catch begins to catch SIGINT and SIGTERM, until release. Commands that
	// can do something about them call it; the others are ended by them.
	Catch func() (caught <-chan os.Signal, release func())
	// Resized carries SIGWINCH.
	Resized <-chan os.Signal
	// Continued carries SIGCONT.
	Continued <-chan os.Signal
	// Keeper starts, renews and stops what answers on the socket.
	Keeper Keeper
	// Version is what `version` says: "v0.1.0".
	Version string
}

// Keeper is the way to the keeper of a state folder.
type Keeper interface {
	// Ensure returns once a keeper runs that starts a daemon.
	Ensure(ctx context.Context, place folder.Place) error
	// Replace gives this binary to the keeper, which starts it as daemon.
	Replace(ctx context.Context, place folder.Place) error
	// Stop ends keeper and daemon; containers run on. Nothing there is success.
	Stop(ctx context.Context, place folder.Place) error
	// Become turns this process into the keeper, ready being called when it is
	// one, and returns with an error only.
	Become(ctx context.Context, place folder.Place, ready func() error) error
	// Status asks the keeper; none there is fs.ErrNotExist.
	Status(ctx context.Context, place folder.Place) (wire.KeeperStatusAnswer, error)
}

// Main runs a command of this process and returns its exit code.
func Main(version string, keeper Keeper) int {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return Run(context.Background(), Process{
		Args: os.Args[1:], Environment: os.Environ(), Dir: dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Catch: catch, Resized: resized, Continued: continued, Keeper: keeper, Version: version,
	})
}

func catch() (<-chan os.Signal, func()) {
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM)
	return caught, func() { signal.Stop(caught) }
}

// Run runs one command and returns its exit code.
func Run(ctx context.Context, p Process) int {
	s := newSession(p)
	defer s.close()
	root := newRoot(s, p.Args)
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	addHelp(root, p.Args)
	err := root.ExecuteContext(ctx)
	if s.screen == nil && err != nil && parsed.MatchString(err.Error()) { // of a flag in front of the command
		err = fmt.Errorf("%s\nsee 'mycompose --help'", inWords(err))
	}
	if s.screen == nil { // the flags were wrong
		s.screen = ui.New(ui.Options{Out: p.Stdout, Err: p.Stderr, Mode: ui.ModePlain})
	}
	return report(s.screen, err)
}
