package engine

import (
	"context"
	"slices"

	"github.com/mycompose/mycompose/network/firewall"
)

// guests are the firewall's elements that let a container to the host's
// loopback; none unless its blueprint asks for it.
func (e *Engine) guests(l *life, places []place) []firewall.Guest {
	if !l.rec.Blueprint.HostLoopback {
		return nil
	}
	var out []firewall.Guest
	for _, p := range places {
		if b := e.bridge(p.Network); b != nil && b.bridged() && p.Addr.IsValid() {
			out = append(out, firewall.Guest{Bridge: b.rec.Bridge, Addr: p.Addr})
		}
	}
	return out
}

// admitGuest makes the elements be those for the places; none take all out. turn
// is held.
func (e *Engine) admitGuest(ctx context.Context, l *life, places []place) error {
	now := e.guests(l, places)
	if slices.Equal(now, l.held.guests) {
		return nil
	}
	gone := l.held.guests
	l.held.guests = now
	return again(ctx, func() error { return e.rules.change(firewall.State{Guests: now}, firewall.State{Guests: gone}) })
}
