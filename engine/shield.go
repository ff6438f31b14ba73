package engine

import (
	"context"
	"os"
	"sync"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/network/firewall"
)

// shieldHolder is in the place of a container's id where the keeper keeps what
// holds the shield.
const shieldHolder, shieldSocket = "host", "shield"

// shield is the host's, which stands while we have networks: the keeper holds its
// socket, so that it outlives a daemon. That of a keeper and a daemon that both
// died goes with them.
type shield struct {
	mu   sync.Mutex // guards held, also while it goes
	held *os.File   // nil: there is none
}

// raiseShield makes it stand; one that does is success.
func (e *Engine) raiseShield() error {
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	if e.shield.held != nil || !e.rules.table.Marks() {
		return nil
	}
	socket, err := firewall.Shield(e.place.Tag)
	if err != nil || socket == nil {
		return err
	}
	e.shield.held = socket
	return e.cfg.Keeper.Keep(e.ctx, shieldHolder, map[string]*os.File{shieldSocket: socket})
}

// lowerShield takes it away beside, since that takes the kernel 20 to 40 ms.
func (e *Engine) lowerShield() {
	e.shield.mu.Lock()
	if e.shield.held == nil {
		e.shield.mu.Unlock()
		return
	}
	e.goDo(func() {
		defer e.shield.mu.Unlock()
		// The last close is to be ours: nobody waits for the keeper's.
		if err := e.cfg.Keeper.Drop(context.WithoutCancel(e.ctx), shieldHolder); err != nil {
			e.log.Warn("the shield of the host's loopback is not all taken away", "err", err)
		}
		e.shield.held.Close()
		e.shield.held = nil
	})
}

// close lets go of it, and the keeper holds it on.
func (s *shield) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	container.CloseFiles([]*os.File{s.held})
	s.held = nil
}
