package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/network/firewall"
)

// shieldHolder is in the place of a container's id where the keeper keeps what
// holds the shield. A socket of another name is that of an earlier build, whose
// shield has not all of the sets.
const shieldHolder, shieldSocket = "host", "shield of networks, internal ones and strangers"

// shield is the host's, which stands while we have networks: the keeper holds its
// socket, so that it outlives a daemon. That of a keeper and a daemon that both
// died goes with them.
type shield struct {
	mu   sync.Mutex // guards what follows, also while it goes
	held *os.File   // nil: there is none
	told error      // why there is none, in the words of the last warning
	// strangers are bridges of other engines, as far as it knows.
	strangers []string
}

// adoptShield takes up what the keeper has kept.
func (e *Engine) adoptShield(kept map[string]*os.File) error {
	e.shield.held = kept[shieldSocket]
	if e.shield.held != nil || len(kept) == 0 {
		return nil
	}
	var errs []error
	for _, socket := range kept {
		errs = append(errs, firewall.DropShield(socket, e.place.Tag))
	}
	errs = append(errs, e.cfg.Keeper.Drop(e.ctx, shieldHolder))
	container.CloseFiles(slices.Collect(maps.Values(kept)))
	return errors.Join(errs...)
}

// widenShield makes it stand, and lets packets stay on the bridges of networks
// that are added; all of that may be so already. One that could not be made before
// is made with all networks.
func (e *Engine) widenShield(networks []firewall.Network) error {
	standing := e.shielded()
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	if !e.rules.table.Shielded() || len(networks) == 0 {
		return nil
	}
	if e.shield.held != nil {
		return firewall.ChangeShield(e.shield.held, e.place.Tag, firewall.Shielded{Networks: networks}, firewall.Shielded{})
	}
	for _, b := range standing {
		networks = append(networks, b.wanted()...)
	}
	socket, err := firewall.Shield(e.place.Tag, firewall.Shielded{Networks: networks, Strangers: e.shield.strangers})
	for _, why := range []error{firewall.ErrNoOwner, firewall.ErrOwned} {
		if errors.Is(err, why) {
			e.shield.warn(e.log, why)
			return nil
		}
	}
	if err != nil {
		return err
	}
	e.shield.held, e.shield.told = socket, nil
	return e.cfg.Keeper.Keep(e.ctx, shieldHolder, map[string]*os.File{shieldSocket: socket})
}

// warn tells once why there is none. mu is held.
func (s *shield) warn(log *slog.Logger, why error) {
	if s.told != why {
		log.Warn("networks are open for a moment when somebody flushes the host's rules", "err", why)
	}
	s.told = why
}

// shielded are the networks that it is for.
func (e *Engine) shielded() []*bridge {
	e.mu.Lock()
	all := slices.Collect(maps.Values(e.networks))
	e.mu.Unlock()
	return slices.DeleteFunc(append(all, e.builder.bridge()), func(b *bridge) bool { return b == nil || len(b.wanted()) == 0 })
}

// narrowShield takes a network out of it, and the shield away with the last.
func (e *Engine) narrowShield(gone *bridge) error {
	if !slices.ContainsFunc(e.shielded(), func(b *bridge) bool { return b != gone }) {
		e.lowerShield()
		return nil
	}
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	if e.shield.held == nil {
		return nil
	}
	return firewall.ChangeShield(e.shield.held, e.place.Tag, firewall.Shielded{}, firewall.Shielded{Networks: gone.wanted()})
}

// estrangeShield says which bridges of the host are other engines'. One that went
// while no engine was there stays in it: a name of that form is never ours.
func (e *Engine) estrangeShield(links []string) error {
	e.shield.mu.Lock()
	defer e.shield.mu.Unlock()
	add, remove := strangerChange(e.shield.strangers, links)
	if e.shield.held != nil && len(add)+len(remove) > 0 {
		err := firewall.ChangeShield(e.shield.held, e.place.Tag, firewall.Shielded{Strangers: add}, firewall.Shielded{Strangers: remove})
		if err != nil {
			return err
		}
	}
	e.shield.strangers = links
	return nil
}

// strangerChange is what comes and what goes between two lists.
func strangerChange(before, now []string) (add, remove []string) {
	less := func(from, other []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(l string) bool { return slices.Contains(other, l) })
	}
	return less(now, before), less(before, now)
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
		// Not by the last close alone, as the keeper may be stopped; but that is to be
		// ours, so that the keeper does not wait.
		err := firewall.DropShield(e.shield.held, e.place.Tag)
		err = errors.Join(err, e.cfg.Keeper.Drop(context.WithoutCancel(e.ctx), shieldHolder))
		if err != nil {
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
