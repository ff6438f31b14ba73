package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// Keeper is a running keeper.
type Keeper struct {
	place folder.Place
	kept  *kept
	logf  func(format string, args ...any)

	stop    chan struct{} // closed: stop is asked for
	stopped chan struct{} // closed: daemon, builder and proxy have ended
	once    sync.Once
	replace chan struct{} // one token: the programs are new
	lost    atomic.Bool   // the run folder was taken away: see Lose

	stopAnswers sync.WaitGroup // answers to stop that are under way

	starting sync.Mutex   // held while a daemon is started; guards ownChild
	ownChild map[int]bool // daemons that have their waiter

	mu       sync.Mutex // guards what follows
	programs programs
	before   *programs   // those that worked, until new ones have proved themselves
	refused  os.FileInfo // the binary of programs that did not
	daemon   daemon
	starts   int
}

// programs are what a daemon is made of.
type programs struct{ binary, small *os.File }

// New makes a keeper that starts daemons from binary.
func New(place folder.Place, binary, small *os.File, logf func(string, ...any)) *Keeper {
	return &Keeper{
		place:    place,
		kept:     newKept(),
		logf:     logf,
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		replace:  make(chan struct{}, 1),
		ownChild: map[int]bool{},
		programs: programs{binary, small},
	}
}

// Serve keeps until it is stopped. It closes the listener.
func (k *Keeper) Serve(listener *wire.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	defer listener.Close()
	serving.Go(func() {
		k.tendDaemon()
		close(k.stopped)
		listener.Close()
	})
	serving.Go(func() { k.reapOrphans(ctx) })
	var connections sync.WaitGroup
	defer func() {
		k.stopAnswers.Wait() // who asked for the end hears of it
		cancel()
		connections.Wait()
	}()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			k.Stop()
			return fmt.Errorf("keeper: %w", err)
		}
		connections.Go(func() {
			peer := wire.NewPeer(conn, k.handle)
			stop := context.AfterFunc(ctx, func() { peer.Close() })
			defer stop()
			// How it ends does not matter: who wants more dials anew.
			_ = peer.Serve(context.Background())
			peer.Close()
		})
	}
}

// Stop asks the keeper to write `stopped`, to end daemon, builder and proxy,
// and to leave. It does not wait.
func (k *Keeper) Stop() { k.once.Do(func() { close(k.stop) }) }

// Lose is Stop for a keeper whose lock is not in the run folder any more, because
// somebody has emptied it: another may be started at any moment, so this one and
// its daemon end at once, as if they had been killed, and let go of all sockets.
// The monitors make the run folder anew, and start a keeper.
func (k *Keeper) Lose() {
	k.lost.Store(true)
	k.kept.closeAll()
	k.Stop()
}

func (k *Keeper) handle(ctx context.Context, r *wire.Request) (wire.Reply, error) {
	switch r.Kind {
	case wire.KeeperKeep:
		var in wire.KeeperSockets
		if err := r.Decode(&in); err != nil {
			closeFiles(r.Files)
			return wire.Reply{}, err
		}
		return wire.Reply{}, k.kept.keep(in, r.Files)
	case wire.KeeperReplace:
		return wire.Reply{}, k.replacePrograms(r.Files)
	}
	closeFiles(r.Files)
	switch r.Kind {
	case wire.KeeperDrop:
		var in wire.KeeperDropRequest
		if err := r.Decode(&in); err != nil {
			return wire.Reply{}, err
		}
		k.kept.drop(in)
		return wire.Reply{}, nil
	case wire.KeeperList:
		var in wire.KeeperListRequest
		if err := r.Decode(&in); err != nil {
			return wire.Reply{}, err
		}
		answer, files, err := k.kept.list(in)
		return wire.Reply{Body: answer, Files: files}, err
	case wire.KeeperPrograms:
		return k.listPrograms()
	case wire.KeeperStatus:
		return wire.Reply{Body: k.status()}, nil
	case wire.KeeperStop:
		k.stopAnswers.Add(1)
		reply := wire.Reply{Sent: k.stopAnswers.Done}
		k.Stop()
		select {
		case <-k.stopped:
			return reply, nil
		case <-ctx.Done():
			return reply, ctx.Err()
		}
	}
	return wire.Reply{}, fmt.Errorf("keeper does not know the request %q", r.Kind)
}

func (k *Keeper) replacePrograms(files []*os.File) error {
	if len(files) != 2 {
		closeFiles(files)
		return fmt.Errorf("cannot replace: %d descriptors in place of 2", len(files))
	}
	if err := k.give(programs{files[0], files[1]}); err != nil {
		return err
	}
	select {
	case k.replace <- struct{}{}:
	default:
	}
	return nil
}

func (k *Keeper) listPrograms() (wire.Reply, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	binary, err := wire.Duplicate(k.programs.binary)
	if err != nil {
		return wire.Reply{}, err
	}
	small, err := wire.Duplicate(k.programs.small)
	if err != nil {
		binary.Close()
		return wire.Reply{}, err
	}
	return wire.Reply{Files: []*os.File{binary, small}}, nil
}

func (k *Keeper) status() wire.KeeperStatusAnswer {
	k.mu.Lock()
	defer k.mu.Unlock()
	answer := wire.KeeperStatusAnswer{PID: os.Getpid(), DaemonStarts: k.starts, Sockets: k.kept.count()}
	if k.daemon != nil {
		answer.DaemonPID = k.daemon.PID()
	}
	return answer
}
