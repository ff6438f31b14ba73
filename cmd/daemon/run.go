package daemon

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/cmd/settings"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/engine"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// endTimeout is how long the daemon's own end may take. Longer helps nobody:
// being killed is safe at any moment.
const endTimeout = 10 * time.Second

// Main is the hidden command `mycompose daemon --state-dir DIR`, which the
// keeper starts. It returns the exit code.
func Main(version string, args []string) int {
	flags := flag.NewFlagSet("mycompose daemon", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	dir := flags.String("state-dir", os.Getenv(folder.StateDirVariable), "folder of all durable state")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := wire.TakeName(wire.RoleDaemon); err != nil {
		log.Warn("ps and top show the daemon as a number", "err", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx, version, *dir, log) }() // or ends with the process
	select {
	case err := <-done:
		return ended(err, log)
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return ended(err, log)
	case <-time.After(endTimeout):
		return ended(errors.New("its end takes too long"), log)
	}
}

// errAnother: this daemon is not needed. Whoever waits for one goes on waiting, so
// that it does not stand in the log as a daemon that could not stay up.
var errAnother = errors.New("another daemon runs")

// ended is the exit code of the daemon's end.
func ended(err error, log *slog.Logger) int {
	if errors.Is(err, errAnother) {
		log.Info("another daemon holds the lock")
		return 1
	}
	if err != nil {
		log.Error("the daemon ends", "err", err)
		return 1
	}
	return 0
}

// run holds daemon.lock for life, opens the engine and serves.
func run(ctx context.Context, version, dir string, log *slog.Logger) (err error) {
	place, err := store.Locate(dir, os.Getenv(folder.RunRootVariable))
	if err != nil {
		return err
	}
	binary, small, err := inherited()
	if err != nil {
		return err
	}
	if err := folder.PrepareRun(place); err != nil {
		return err
	}
	lock, err := folder.TakeDaemonLock(place)
	if errors.Is(err, folder.ErrLocked) && heldByAnother(place) {
		return errAnother
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s, err := store.Open(place)
	if err != nil {
		return err
	}
	if err := s.Sweep(); err != nil {
		log.Error("cannot sweep the state folder", "err", err)
	}
	build, err := client.BuildID()
	if err != nil {
		return err
	}
	link, err := engine.LinkKeeper(ctx, wire.KeeperConfig{Place: place, Binary: binary, Small: small}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	pool, err := addressPool()
	if err != nil {
		return err
	}
	pools, err := engine.Pools(pool)
	if err != nil {
		return err
	}
	e, err := engine.Open(engine.Config{
		Store: s, Logger: log, Small: small, Binary: binary, Keeper: link, Pools: pools,
		Builder: func() (string, error) { return parts.Builder(filepath.Join(place.State, "parts")) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return serve(ctx, s, e, build, version, log)
}

// heldByAnother reports whether who holds the daemon's lock is a process that lives
// or has just ended, and not some heir of its descriptor, who keeps it for good.
func heldByAnother(place folder.Place) bool {
	pid, err := folder.DaemonPID(place)
	return err == nil && (pid == 0 || !errors.Is(unix.Kill(pid, 0), unix.ESRCH))
}

// serve joins engine and compose and serves them.
func serve(ctx context.Context, s *store.Store, e *engine.Engine, build, version string, log *slog.Logger) error {
	joined, c := Join(s, e, e, e, version, log)
	c.Watches = &compose.Watches{Compose: c, Store: watchStore{s}, Execs: e, Log: log}
	joined.Watches = c.Watches
	machine := machineOf{e}
	joined.Things, joined.Processes, joined.Logs, joined.Host, joined.Shelf = machine, machine, machine, e, e
	joined.Usage, joined.Archives, joined.Happenings = e, e, e
	reaper := startReaper(ctx, e, c, log)
	defer reaper.wait()
	return Serve(ctx, Config{Store: s, Parts: joined, Build: build, Version: version, Log: log})
}

// Join puts compose over a backend. What the socket offers beside projects is
// left to fill in: Things, Processes, Logs, Host.
func Join(s *store.Store, b backend.Backend, contents Contents, images Importer, version string, log *slog.Logger) (Parts, *compose.Compose) {
	in := &inputs{store: s, contents: contents}
	kept := projects{store: s, inputs: in, recent: &recent[compose.Record]{}}
	c := &compose.Compose{Backend: b, Projects: kept, Logger: log, Version: version}
	return Parts{
		Runner: runner{compose: c, files: imageFiles{images}, store: s}, Keeper: kept, Explainer: c, Containers: b, Contents: contents, inputs: in,
	}, c
}

// inherited are the open mycompose binary and the sealed small program that
// the keeper gives us.
func inherited() (binary, small *os.File, err error) {
	for _, fd := range []int{wire.FDBinary, wire.FDSmall} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, nil, errors.New("the daemon is started by its keeper only: run any command, for example mycompose info")
		}
	}
	return os.NewFile(wire.FDBinary, "mycompose"), os.NewFile(wire.FDSmall, "mycompose-small"), nil
}

// addressPool is where networks get their subnets: of the machine's settings,
// since a user's do not reach the daemon.
func addressPool() (string, error) {
	set, err := settings.Resolve(settings.Input{Files: settings.Files("", "")})
	return set.AddressPool, err
}
