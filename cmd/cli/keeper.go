package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/keeper"
	"github.com/mycompose/mycompose/engine/wire"
)

// HostKeeper is the Keeper of a real machine: the keeper process of the state
// folder, reached over its socket.
type HostKeeper struct{}

// Ensure starts a keeper from this binary unless one runs.
func (HostKeeper) Ensure(ctx context.Context, place folder.Place) error {
	binary, err := openSelf()
	if err != nil {
		return err
	}
	defer binary.Close()
	if err := os.MkdirAll(place.State, 0o711); err != nil {
		return fmt.Errorf("cannot make the state folder: %w (--state-dir names another one)", err)
	}
	return wire.EnsureKeeper(ctx, wire.KeeperConfig{
		Place: place, Binary: binary, Program: parts.Small, Start: keeper.Start, Command: true,
	})
}

// Replace gives this binary and its small program to the keeper, which ends
// the daemon and starts ours.
func (k HostKeeper) Replace(ctx context.Context, place folder.Place) error {
	binary, err := openSelf()
	if err != nil {
		return err
	}
	defer binary.Close()
	program, err := parts.Small()
	if err != nil {
		return err
	}
	defer program.Close()
	small, err := wire.SealProgram(program, place.State)
	if err != nil {
		return err
	}
	defer small.Close()
	if err := ask(ctx, place, wire.KeeperReplace, nil, binary, small); err != nil {
		return fmt.Errorf("cannot hand over to this version: %w", err)
	}
	return nil
}

// Stop ends keeper and daemon; where there is none that is success.
func (HostKeeper) Stop(ctx context.Context, place folder.Place) error {
	err := ask(ctx, place, wire.KeeperStop, nil)
	if noKeeper(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot stop the keeper: %w", err)
	}
	return nil
}

func noKeeper(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// Become turns this process into the keeper.
func (k HostKeeper) Become(ctx context.Context, place folder.Place, ready func() error) error {
	binary, err := openSelf()
	if err != nil {
		return err
	}
	defer binary.Close()
	takeOver := func(ctx context.Context) error { return k.Stop(ctx, place) }
	return wire.BecomeKeeper(ctx, wire.KeeperConfig{Place: place, Binary: binary, Program: parts.Small, Command: true}, takeOver, ready)
}

// Status asks the keeper.
func (HostKeeper) Status(ctx context.Context, place folder.Place) (wire.KeeperStatusAnswer, error) {
	var answer wire.KeeperStatusAnswer
	err := ask(ctx, place, wire.KeeperStatus, &answer)
	if noKeeper(err) {
		return answer, fmt.Errorf("no keeper runs: %w", fs.ErrNotExist)
	}
	return answer, err
}

func openSelf() (*os.File, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("cannot open the running binary: %w", err)
	}
	return f, nil
}

// keeperPatience is how long the keeper may take to answer before it is looked at;
// mostPatience times that it may take at most. It gives a daemon that it ends ten
// seconds.
const (
	keeperPatience = 20 * time.Second
	mostPatience   = 6
)

// keeperState says what the keeper's process does, as far as that can be seen, and
// whether to wait for it is in vain: somebody has stopped it.
func keeperState(place folder.Place) (does string, vain bool) {
	pid := wire.FindRole(place, wire.RoleKeeper, "")
	state, vain, err := wire.ProcessState(pid)
	if pid == 0 || err != nil {
		return "no keeper runs", false
	}
	does = fmt.Sprintf("the keeper (pid %d) is in state %s", pid, state)
	if vain {
		does += fmt.Sprintf("; `kill -CONT %d` lets it go on", pid)
	}
	return does, vain
}

// ask calls the keeper once; answer may be nil.
func ask(ctx context.Context, place folder.Place, kind string, answer any, files ...*os.File) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	done := make(chan error, 1)
	go func() { done <- askOnce(ctx, place, kind, answer, files...) }()
	look := time.NewTicker(keeperPatience)
	defer look.Stop()
	for looks := 1; ; looks++ {
		select {
		case err := <-done:
			return err
		case <-look.C:
			if does, vain := keeperState(place); vain || looks == mostPatience {
				giveUp()
				<-done
				return fmt.Errorf("no answer for %s: %s", time.Duration(looks)*keeperPatience, does)
			}
		}
	}
}

func askOnce(ctx context.Context, place folder.Place, kind string, answer any, files ...*os.File) error {
	conn, err := wire.Dial(place.KeeperSocket())
	if err != nil {
		return err
	}
	peer := wire.NewPeer(conn, func(context.Context, *wire.Request) (wire.Reply, error) {
		return wire.Reply{}, errors.New("nothing is served here")
	})
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Add(1)
	go func() {
		defer serving.Done()
		// Its error reaches the call as a closed connection.
		_ = peer.Serve(ctx)
	}()
	defer serving.Wait()
	defer cancel()
	_, err = peer.Call(ctx, kind, struct{}{}, answer, files...)
	return err
}
