package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/wire"
)

// linkPause is the wait between tries to reach a keeper.
const linkPause = 50 * time.Millisecond

// keeperPatience is how long an answer of the keeper is waited for. One that is
// stopped or starved holds up nobody for longer: what it was sent lies in its
// socket, and it takes it when it goes on.
const keeperPatience = 3 * time.Second

// errMute is why a wait for the keeper ended.
var errMute = errors.New("the keeper does not answer")

// KeeperLink is the Keeper that is a process. It holds a duplicate of every
// socket, and hands them all to a new keeper when the old one dies.
type KeeperLink struct {
	cfg    wire.KeeperConfig
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex // guards what follows
	peer *wire.Peer // nil while there is none
	// kept are numbers, as the keeper's: each os.File of a socket is woken by
	// what arrives there.
	kept map[string]map[string]int
}

// LinkKeeper connects to the keeper, which is started if there is none.
func LinkKeeper(ctx context.Context, cfg wire.KeeperConfig, log *slog.Logger) (*KeeperLink, error) {
	k := &KeeperLink{cfg: cfg, log: log, done: make(chan struct{}), kept: map[string]map[string]int{}}
	living, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	ended, err := k.connect(ctx, living)
	if err != nil {
		cancel()
		return nil, err
	}
	go func() { // Close waits for it
		defer close(k.done)
		k.tend(living, ended)
	}()
	return k, nil
}

// Close ends the link; the keeper keeps what it has.
func (k *KeeperLink) Close() error {
	k.cancel()
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.kept {
		k.dropLocked(id)
	}
	k.kept = nil
	return nil
}

// tend connects again, each time a keeper dies, until ctx ends.
func (k *KeeperLink) tend(ctx context.Context, ended <-chan struct{}) {
	for {
		<-ended
		for {
			var err error
			if ended, err = k.connect(ctx, ctx); err == nil {
				break
			}
			if ctx.Err() != nil || errors.Is(err, wire.ErrStopped) {
				return
			}
			k.log.Warn("keeper is not reached", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(linkPause):
			}
		}
	}
}

// connect makes sure of a keeper, connects, and hands over all sockets. The
// connection lives until living ends; ended is closed when it has ended.
func (k *KeeperLink) connect(ctx, living context.Context) (ended <-chan struct{}, err error) {
	if living.Err() != nil {
		return nil, living.Err()
	}
	if err := wire.EnsureKeeper(ctx, k.cfg); err != nil {
		return nil, err
	}
	conn, err := wire.Dial(k.cfg.Place.KeeperSocket())
	if err != nil {
		return nil, err
	}
	peer := wire.NewPeer(conn, func(_ context.Context, r *wire.Request) (wire.Reply, error) {
		container.CloseFiles(r.Files)
		return wire.Reply{}, fmt.Errorf("unknown request %q from the keeper", r.Kind)
	})
	peer.Attend(func() int { return wire.FindRole(k.cfg.Place, wire.RoleKeeper, "") })
	done := make(chan struct{})
	go func() { // tend, or connect below, waits for it
		defer close(done)
		if err := peer.Serve(living); err != nil && living.Err() == nil {
			k.log.Warn("connection of the keeper", "err", err)
		}
		k.mu.Lock()
		if k.peer == peer {
			k.peer = nil
		}
		k.mu.Unlock()
	}()
	k.mu.Lock()
	k.peer = peer
	err = k.handOver(ctx, peer)
	k.mu.Unlock()
	if err != nil {
		peer.Close()
		<-done
		return nil, err
	}
	return done, nil
}

// handOver keeps everything again. mu is held.
func (k *KeeperLink) handOver(ctx context.Context, peer *wire.Peer) error {
	for id, fds := range k.kept {
		if err := handOver(ctx, peer, id, fds); err != nil {
			return err
		}
	}
	return nil
}

func handOver(ctx context.Context, peer *wire.Peer, id string, fds map[string]int) error {
	files := map[string]*os.File{}
	defer func() { container.CloseFiles(slices.Collect(maps.Values(files))) }()
	for name, fd := range fds {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("cannot have sockets kept: %w", err)
		}
		files[name] = os.NewFile(uintptr(d), name)
	}
	return keep(ctx, peer, id, files)
}

func keep(ctx context.Context, peer *wire.Peer, id string, files map[string]*os.File) error {
	var request wire.KeeperSockets
	var list []*os.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		request.Sockets = append(request.Sockets, wire.KeeperSocket{Container: id, Name: name})
		list = append(list, files[name])
	}
	for len(list) > 0 {
		n := min(len(list), wire.MaxFiles)
		part := wire.KeeperSockets{Sockets: request.Sockets[:n]}
		if err := tellKeeper(ctx, peer, wire.KeeperKeep, part, list[:n]...); err != nil {
			return fmt.Errorf("cannot have sockets kept: %w", err)
		}
		request.Sockets, list = request.Sockets[n:], list[n:]
	}
	return nil
}

// Keep implements Keeper. While there is no keeper the next one gets them.
func (k *KeeperLink) Keep(ctx context.Context, id string, files map[string]*os.File) error {
	k.mu.Lock()
	for name, f := range files {
		if err := k.noteLocked(wire.KeeperSocket{Container: id, Name: name}, f); err != nil {
			k.mu.Unlock()
			return fmt.Errorf("cannot have sockets kept: %w", err)
		}
	}
	peer := k.peer
	k.mu.Unlock()
	if peer == nil {
		return nil
	}
	return k.lostIsFine(keep(ctx, peer, id, files))
}

// Drop implements Keeper.
func (k *KeeperLink) Drop(ctx context.Context, ids ...string) error {
	k.mu.Lock()
	for _, id := range ids {
		k.dropLocked(id)
	}
	peer := k.peer
	k.mu.Unlock()
	if peer == nil {
		return nil
	}
	return k.lostIsFine(tellKeeper(ctx, peer, wire.KeeperDrop, wire.KeeperDropRequest{Containers: ids}))
}

// tellKeeper is a call without an answer's body that waits for keeperPatience at most.
func tellKeeper(ctx context.Context, peer *wire.Peer, kind string, in any, files ...*os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, keeperPatience, errMute)
	defer cancel()
	_, err := peer.Call(ctx, kind, in, nil, files...)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// lostIsFine: a keeper that has just died has nothing any more, and the next
// one gets everything; one that does not answer has been told.
func (k *KeeperLink) lostIsFine(err error) error {
	if errors.Is(err, errMute) {
		k.log.Warn("the keeper does not answer; is it stopped?")
		return nil
	}
	if errors.Is(err, wire.ErrClosed) {
		return nil
	}
	return err
}

// List implements Keeper, and takes over what the keeper has.
func (k *KeeperLink) List(ctx context.Context) (map[string]map[string]*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.peer == nil {
		return nil, errors.New("cannot list kept sockets: there is no keeper")
	}
	out := map[string]map[string]*os.File{}
	var request wire.KeeperListRequest
	for {
		var answer wire.KeeperSockets
		files, err := k.peer.Call(ctx, wire.KeeperList, request, &answer)
		if err == nil && len(files) != len(answer.Sockets) {
			container.CloseFiles(files)
			err = fmt.Errorf("%d descriptors for %d names", len(files), len(answer.Sockets))
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list kept sockets: %w", err)
		}
		for i, s := range answer.Sockets {
			if out[s.Container] == nil {
				out[s.Container] = map[string]*os.File{}
			}
			out[s.Container][s.Name] = files[i]
			if err := k.noteLocked(s, files[i]); err != nil {
				return nil, err
			}
			request.After = &answer.Sockets[i]
		}
		if !answer.More {
			return out, nil
		}
	}
}

// noteLocked remembers a socket, in the place of one of the same name.
func (k *KeeperLink) noteLocked(s wire.KeeperSocket, f *os.File) error {
	fd, err := wire.DuplicateFD(f)
	if err != nil {
		return err
	}
	if k.kept[s.Container] == nil {
		k.kept[s.Container] = map[string]int{}
	}
	if old, there := k.kept[s.Container][s.Name]; there {
		unix.Close(old)
	}
	k.kept[s.Container][s.Name] = fd
	return nil
}

func (k *KeeperLink) dropLocked(id string) {
	for _, fd := range k.kept[id] {
		unix.Close(fd)
	}
	delete(k.kept, id)
}
