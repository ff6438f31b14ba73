package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// Main is the role mycompose-keeper, started by wire.EnsureKeeper; args are
// those after the name. It returns the exit code.
func Main(args []string) int {
	how := ""
	if len(args) == 1 {
		how = args[0]
	}
	run := func() error { return serve(how) }
	if how == wire.KeeperStart {
		run = begin
	}
	if err := run(); err != nil {
		logf("%v", err)
		return 1
	}
	return 0
}

// smallHeap has a heap collected from 1 MiB on: the keeper mostly waits.
const smallHeap = 25

func logf(format string, args ...any) { wire.Logf(wire.RoleKeeper, format, args...) }

// begin starts the keeper with what it inherited itself, and does not wait.
func begin() error {
	inherited, err := wire.TakeInherited()
	if err != nil {
		return err
	}
	place, err := folder.Inherited()
	if err != nil {
		return err
	}
	files := []*os.File{inherited.Binary, inherited.Small, inherited.Listener.File(), inherited.Lock}
	process, err := Start(place, files)
	if err != nil {
		return err
	}
	return process.Release()
}

// Start starts the keeper of a place, in a session and a control group of its own,
// with files as its descriptors from wire.FDBinary on. It gets nothing else that is
// open here. The caller waits for the process.
func Start(place folder.Place, files []*os.File) (*os.Process, error) {
	// What was open in the shell of who started us, a lock of flock(1) for one.
	if err := unix.CloseRange(wire.FDBinary, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot start the keeper: keep descriptors from it: %w", err)
	}
	// The keeper's words go where the daemon's go.
	log, err := openDaemonLog(place.DaemonLog())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return startPlaced(place.Tag, wire.Small{
		Program:     files[wire.FDSmall-wire.FDBinary],
		Args:        []string{wire.RoleKeeper},
		Env:         place.Environment(),
		Output:      log,
		Files:       files,
		Descriptors: wire.ManyDescriptors,
	})
}

// startPlaced starts the keeper in its control group: it need not go there by
// itself, which waits for an RCU grace period as a process has threads. Where
// that cannot be it goes by itself.
func startPlaced(tag string, keeper wire.Small) (process *os.Process, err error) {
	wire.OnLastThread(func() { // which goes to that group, and ends there
		leaf, placeErr := placeThread(tag)
		if placeErr == nil {
			defer leaf.Close()
			placed := keeper
			placed.Cgroup, placed.Args = leaf, append(slices.Clone(keeper.Args), wire.KeeperPlaced)
			if process, err = placed.Start(); err == nil {
				return
			}
		}
		process, err = keeper.Start()
	})
	return process, err
}

// serve is the keeper. That of a unit stays in the unit's control group, which
// is delegated to it.
func serve(how string) error {
	unit := how == wire.KeeperUnit
	take := wire.TakeInherited
	if unit {
		take = wire.TakeInheritedOfUnit
	}
	inherited, err := take()
	if err != nil {
		return err
	}
	place, err := folder.Inherited()
	if err != nil {
		return err
	}
	if err := wire.BecomeParent(wire.RoleKeeper); err != nil {
		return err
	}
	if !unit && how != wire.KeeperPlaced {
		if err := joinCgroup(place.Tag); err != nil {
			logf("%v", err) // it runs in the caller's then
		}
	}
	debug.SetGCPercent(smallHeap)
	k := New(place, inherited.Binary, inherited.Small, logf)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP) // not heeded
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			k.Stop()
		case <-done:
		}
	}()
	watched, err := watchLock(inherited.Lock, place.KeeperLock(), k.Lose)
	if err != nil {
		logf("cannot see whether the run folder is emptied: %v", err)
	} else {
		defer watched.Close()
	}
	reached, err := watchSocket(place.KeeperSocket(), k.Lose)
	if errors.Is(err, fs.ErrNotExist) {
		k.Lose() // it is removed already
	} else if err != nil {
		logf("cannot see whether the keeper's socket is removed: %v", err)
	}
	err = k.Serve(inherited.Listener)
	reached.Close() // nil, too: before its name goes with us
	close(done)
	k.kept.closeAll()
	if !unit {
		leaveCgroup(place.Tag)
	}
	if !k.lost.Load() {
		// Under the lock, so that it is not the next keeper's.
		os.Remove(place.KeeperSocket())
	}
	runtime.KeepAlive(inherited.Lock)
	return err
}
