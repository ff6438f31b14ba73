package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
)

// ErrStopped: there is no keeper on purpose, and only a command may start one.
var ErrStopped = errors.New("mycompose is stopped")

// KeeperConfig is what a keeper is started with.
type KeeperConfig struct {
	Place folder.Place
	// Binary is the open mycompose binary that the keeper starts as daemon.
	Binary *os.File
	// Small is the open, sealed small program, or nil: then Program, which opens
	// its bytes, is called and sealed if a keeper has to be started.
	Small   *os.File
	Program func() (io.ReadSeekCloser, error)
	// Start starts the keeper of a place as a child, to be waited for, with
	// descriptors from FDBinary on. nil, for who lives on beside it: a process that
	// ends at once starts it, and it is nobody's child.
	Start func(place folder.Place, files []*os.File) (*os.Process, error)
	// Command says that a person asked for it: `stopped` is cleared.
	// Without it a stopped keeper is not started: ErrStopped.
	Command bool
}

// EnsureKeeper returns once a keeper listens on the place's keeper socket. If
// none does, it starts one.
//
//	flock keeper.lock, not waiting ── held ──▶ keeper.sock answers? yes: done
//	      │ taken                                  no: begin again
//	      ▼
//	keeper.sock is bound here, then inherited together with the lock
//	      ▼
//	Start ─────────────────── setsid ──▶ mycompose-keeper   (or without Start
//	      │                              mycompose-keeper start ── setsid ──▶ it,
//	      ▼                              and the one between ends)
//	done: a connection waits in the socket's queue until the keeper accepts
//
// The lock is taken before the keeper exists, so of several that call this
// one wins, and the others wait for its socket.
func EnsureKeeper(ctx context.Context, cfg KeeperConfig) error {
	pause := time.Millisecond
	for {
		started, err := tryEnsureKeeper(cfg)
		if err != nil {
			return fmt.Errorf("cannot start the keeper: %w", err)
		}
		if started {
			return nil
		}
		if conn, err := Dial(cfg.Place.KeeperSocket()); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot reach the keeper: %w", ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// tryEnsureKeeper starts a keeper unless the lock is held.
func tryEnsureKeeper(cfg KeeperConfig) (started bool, err error) {
	held, err := holdKeeper(cfg)
	if errors.Is(err, folder.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer held.close() // the keeper holds it all on
	if cfg.Start != nil {
		process, err := cfg.Start(cfg.Place, held.files())
		if err == nil {
			go func() { _, _ = Wait(process) }() // or whoever gets it when we end
		}
		return true, err
	}
	return true, startAndWait(Small{
		Program: held.small,
		Args:    []string{RoleKeeper, KeeperStart},
		Env:     cfg.Place.Environment(),
		Files:   held.files(),
	})
}

// heldKeeper is what a keeper inherits.
type heldKeeper struct {
	binary, small *os.File
	ownSmall      bool
	listener      *Listener
	lock          *folder.Lock
}

// holdKeeper takes the keeper's lock and makes all that the one who holds it
// inherits. A held lock gives folder.ErrLocked.
func holdKeeper(cfg KeeperConfig) (h heldKeeper, err error) {
	if err := os.MkdirAll(cfg.Place.State, 0o711); err != nil {
		return h, err
	}
	if err := folder.PrepareRun(cfg.Place); err != nil {
		return h, err
	}
	if h.lock, err = folder.TryLockFile(cfg.Place.KeeperLock(), folder.Exclusive); err != nil {
		return h, err
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if err := checkStopped(cfg); err != nil {
		return h, err
	}
	h.binary, h.small = cfg.Binary, cfg.Small
	if h.small == nil {
		program, err := cfg.Program()
		if err != nil {
			return h, err
		}
		defer program.Close()
		if h.small, err = SealProgram(program, cfg.Place.State); err != nil {
			return h, err
		}
		h.ownSmall = true
	}
	h.listener, err = Listen(cfg.Place.KeeperSocket())
	return h, err
}

// files in the order of the descriptors that a role inherits.
func (h heldKeeper) files() []*os.File {
	return []*os.File{h.binary, h.small, h.listener.File(), h.lock.File()}
}

func (h heldKeeper) close() {
	if h.ownSmall {
		h.small.Close()
	}
	if h.listener != nil {
		h.listener.Close()
	}
	h.lock.Unlock()
}

func checkStopped(cfg KeeperConfig) error {
	if cfg.Command {
		err := os.Remove(cfg.Place.Stopped())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if _, err := os.Lstat(cfg.Place.Stopped()); err == nil {
		return ErrStopped
	}
	return nil
}
