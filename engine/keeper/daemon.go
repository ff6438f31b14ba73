package keeper

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	// endTime is how long a daemon may take to end when asked.
	endTime = 10 * time.Second
	// steadyTime: a daemon that lived so long is started again at once, and
	// so is one that somebody killed: only one that ends by itself, soon
	// and again and again, has to wait.
	steadyTime = 10 * time.Second

	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// daemon is a daemon that lives: a child, or one that another keeper started.
type daemon interface {
	PID() int
	// Ended is closed when it has ended.
	Ended() <-chan struct{}
	// Killed tells, once it has ended, that SIGKILL ended it. It is false
	// where that cannot be known.
	Killed() bool
	// Signal sends SIGTERM, or SIGKILL if hard.
	Signal(hard bool) error
}

// tendDaemon sees to it that there is a daemon until stop.
func (k *Keeper) tendDaemon() {
	quick := 0 // daemons in a row that ended soon
	for {
		d, err := k.findOrStart()
		begun := time.Now()
		if err != nil {
			k.logf("%v", err)
		} else {
			k.setDaemon(d)
			replaced := k.attend(d)
			k.setDaemon(nil)
			if replaced {
				quick = 0
				continue
			}
		}
		if k.isStopping() {
			k.writeStopped() // if its daemon ended before the stop was seen, it is not yet
			k.endHolder()
			k.endHelpers()
			return
		}
		if err == nil && (time.Since(begun) >= steadyTime || d.Killed()) {
			quick = 0
		} else if k.fallBack(quick + 1) {
			k.logf("the new mycompose does not stay up: the one before is taken again")
			quick = 0
			continue
		}
		if !k.rest(restartPause(quick)) {
			continue
		}
		quick++
	}
}

// restartPause is how long to wait after so many daemons ended soon, one after
// the other: not at all for the first, then doubling.
func restartPause(quick int) time.Duration {
	if quick == 0 {
		return 0
	}
	pause := firstPause
	for range quick - 1 {
		pause = min(2*pause, longestPause)
	}
	return pause
}

// rest pauses; it is false if something new ended the pause.
func (k *Keeper) rest(pause time.Duration) bool {
	select {
	case <-k.stop:
		return false
	case <-k.replace:
		return false
	case <-time.After(pause):
		return true
	}
}

func (k *Keeper) isStopping() bool {
	select {
	case <-k.stop:
		return true
	default:
		return false
	}
}

func (k *Keeper) setDaemon(d daemon) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.daemon = d
}

// attend waits until the daemon has ended, by itself or because it shall.
func (k *Keeper) attend(d daemon) (replaced bool) {
	steady := time.NewTimer(steadyTime)
	defer steady.Stop()
	for {
		select {
		case <-steady.C:
			k.proved()
		case <-d.Ended():
			return false
		case <-k.replace:
			k.end(d)
			return true
		case <-k.stop:
			k.writeStopped()
			k.end(d)
			return false
		}
	}
}

// end asks the daemon to end and makes it.
func (k *Keeper) end(d daemon) {
	if err := d.Signal(k.lost.Load()); err != nil {
		k.logf("cannot end the daemon: %v", err)
	}
	select {
	case <-d.Ended():
		return
	case <-time.After(endTime):
	}
	if err := d.Signal(true); err != nil {
		k.logf("cannot kill the daemon: %v", err)
	}
	<-d.Ended()
}

// endHolder ends a daemon that is none of ours: one that took the lock before ours
// could, which then ended, as we stop now.
func (k *Keeper) endHolder() {
	if k.lost.Load() {
		return // the lock there is another keeper's
	}
	pid, err := folder.DaemonPID(k.place)
	if err != nil || pid == 0 {
		return
	}
	if d, err := watchDaemon(pid); err == nil { // or it has just ended
		k.end(d)
	}
}

// writeStopped comes before the daemon's end, so that no monitor that sees it
// ensures a keeper.
func (k *Keeper) writeStopped() {
	if k.lost.Load() {
		return // containers go on with another keeper
	}
	if err := os.WriteFile(k.place.Stopped(), nil, 0o600); err != nil {
		k.logf("cannot write stopped: %v", err)
	}
}

// findOrStart returns the daemon that holds the lock, or a new one.
func (k *Keeper) findOrStart() (daemon, error) {
	if k.isStopping() {
		k.writeStopped()
		return nil, errors.New("stopped before a daemon was there")
	}
	pid, err := folder.DaemonPID(k.place)
	if err != nil {
		return nil, err
	}
	if pid != 0 {
		d, err := watchDaemon(pid)
		if err == nil {
			return d, nil
		}
		k.logf("cannot watch daemon %d: %v", pid, err)
	}
	return k.start()
}

// start executes the binary's descriptor as daemon.
func (k *Keeper) start() (daemon, error) {
	output, err := openDaemonLog(k.place.DaemonLog())
	if err != nil {
		return nil, err
	}
	defer output.Close()
	k.mu.Lock()
	p := k.programs
	k.starts++
	k.mu.Unlock()
	k.starting.Lock()
	defer k.starting.Unlock()
	fault.Point("keeper:daemon:start")
	process, err := wire.StartDaemon(k.place, p.binary, p.small, output)
	if err != nil {
		return nil, err
	}
	fault.Point("keeper:daemon:started")
	k.ownChild[process.Pid] = true
	return k.newChild(process), nil
}

// maxDaemonLog bounds daemon.log; the one before it is kept too. Bytes.
const maxDaemonLog = 10 << 20

func openDaemonLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxDaemonLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("cannot rotate the daemon's log: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the daemon's log: %w", err)
	}
	return file, nil
}
