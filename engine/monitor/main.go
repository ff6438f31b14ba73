package monitor

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/wire"
)

// idleTime is how long a monitor without container and daemon lives.
const idleTime = time.Minute

// Main is the role mycompose-monitor, started by wire.StartMonitor. It returns
// the exit code.
func Main() int {
	if err := serve(); err != nil {
		logf("%v", err)
		return 1
	}
	return 0
}

func logf(format string, args ...any) { wire.Logf(wire.RoleMonitor, format, args...) }

func serve() error {
	id := os.Getenv(wire.MonitorIDVariable) // a spare one has none yet
	var inherited wire.Inherited
	var err error
	if id != "" {
		if inherited, err = wire.TakeInherited(); err != nil {
			return err
		}
	}
	place, err := folder.Inherited()
	if err != nil {
		return err
	}
	bootID, err := folder.BootID()
	if err != nil {
		return err
	}
	if err := wire.BecomeParent(wire.RoleMonitor); err != nil {
		return err
	}
	// Caught and not heeded: the container decides when this ends, unless the
	// machine does. Ignoring them would be inherited by the container.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGHUP)
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, unix.SIGTERM)

	oomScore := wire.LowerOOMScore()
	if id == "" {
		learn()
		if id, inherited, err = wire.AwaitContainer(); id == "" {
			return err
		}
	}
	lock := inherited.Lock
	m := New(Config{
		ID:      id,
		Starter: spawn.Spawner{Small: inherited.Small},
		EnsureKeeper: func(ctx context.Context) error {
			return wire.EnsureKeeper(ctx, wire.KeeperConfig{
				Place: place, Binary: inherited.Binary, Small: inherited.Small,
			})
		},
		Relisten: func() (*wire.Listener, error) {
			return relisten(place, id, &lock)
		},
		BootID:      bootID,
		Idle:        idleTime,
		OOMScoreAdj: &oomScore,
		Logf:        logf,
	})
	served := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			select {
			case <-terms:
				if machineEnds() {
					m.shutDown(shutdownGrace)
					return
				}
			case <-served:
				return
			}
		}
	})
	err = m.Serve(context.Background(), inherited.Listener)
	close(served)
	waiting.Wait()
	// Under the lock, so that they are not the next monitor's.
	os.Remove(place.MonitorSocket(id))
	os.Remove(place.MonitorLock(id))
	runtime.KeepAlive(lock)
	return err
}

// learn has the types of a start looked at before there is one: what is read first
// costs ten times what is read again.
func learn() {
	const all = `{"recipe":{"process":{"rlimits":[{}]},"namespaces":{"join":[{}]},"mounts":[{}],"devices":[{}],"cgroupMounts":[{}]},"log":{}}`
	var start wire.MonitorStartRequest
	_ = json.Unmarshal([]byte(all), &start)
	_, _ = json.Marshal(wire.MonitorStarted{})
}

// relisten takes lock and socket anew if somebody has removed them, or put
// something else in the socket's place.
func relisten(place folder.Place, id string, lock **os.File) (*wire.Listener, error) {
	there, err := os.Lstat(place.MonitorSocket(id))
	if err == nil && there.Mode()&os.ModeSocket != 0 && folder.IsAt(*lock, place.MonitorLock(id)) {
		return nil, nil
	}
	if err := folder.PrepareRun(place); err != nil {
		return nil, err
	}
	if !folder.IsAt(*lock, place.MonitorLock(id)) {
		again, err := folder.TryLockFile(place.MonitorLock(id), folder.Exclusive)
		if err != nil {
			return nil, err
		}
		(*lock).Close()
		*lock = again.File()
	}
	return wire.Listen(place.MonitorSocket(id))
}
