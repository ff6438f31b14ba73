package engine

import (
	"context"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/network/firewall"
)

// shieldHolder is in the place of a container's id where the keeper keeps what
// holds the shield. A socket of another name is that of an earlier build, whose
// shield knew nothing of networks.
const shieldHolder, shieldSocket = "host", "shield of networks"

// shield is the host's, which stands while we have networks: the keeper holds its
// socket, so that it outlives a daemon. That of a keeper and a daemon that both
// died goes with them.
type shield struct {
	mu   sync.Mutex // guards held, also while it goes
	held *os.File   // nil: there is none
}

// adoptShield takes up what the keeper has kept.
func (e *Engine) adoptShield(kept map[string]*os.File) error {
	e.shield.held = kept[shieldSocket]
	if e.shield.held != nil || len(kept) == 0 {
		return nil
	}
	container.CloseFiles(slices.Collect(maps.Values(kept)))
	return e.cfg.Keeper.Drop(e.ctx, shieldHolder)
}

// widenShield makes it stand, and lets packets stay on the bridges of networks
// that are added; all of that may be so already.
func (e *Engine) widenShield(networks []firewall.Network) error {
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	if !e.rules.table.Shielded() || len(networks) == 0 {
		return nil
	}
	if e.shield.held != nil {
		return firewall.ChangeShield(e.shield.held, e.place.Tag, networks, nil)
	}
	socket, err := firewall.Shield(e.place.Tag, networks)
	if err != nil {
		return err
	}
	if socket == nil {
		e.log.Warn("networks are open for a moment when somebody flushes the host's rules: this kernel has no tables with an owner")
		return nil
	}
	e.shield.held = socket
	return e.cfg.Keeper.Keep(e.ctx, shieldHolder, map[string]*os.File{shieldSocket: socket})
}

// narrowShield takes a network out of it, and the shield away with the last.
func (e *Engine) narrowShield(gone *bridge) error {
	e.mu.Lock()
	all := slices.Collect(maps.Values(e.networks))
	e.mu.Unlock()
	last := true
	for _, b := range append(all, e.builder.bridge()) {
		last = last && (b == nil || b == gone || len(b.wanted()) == 0)
	}
	if last {
		e.lowerShield()
		return nil
	}
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	if e.shield.held == nil {
		return nil
	}
	return firewall.ChangeShield(e.shield.held, e.place.Tag, nil, gone.wanted())
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
			e.log.Warn("the shield is not all taken away", "err", err)
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
