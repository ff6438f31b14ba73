package engine

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/port"
)

// passing are held ports that belong to no container: the one that had them has
// been stopped to be made anew, and who comes takes them over with all who wait
// there. Whoever else wants such a port gets it, and after 10 s they go.
//
//	held by the old one ──stop──▶ passing ──reserve──▶ held by the new one ──▶ let go
//	                                 └── 10 s, another's bind, or their network's end: closed
type passing struct {
	mu  sync.Mutex // guards all
	all []*passed
}

// passed is one port between two containers.
type passed struct {
	binding port.Binding
	socket  *os.File
	held    heldPort // as the proxy has it now
	// from is the container that had it, networks are that one's.
	from     string
	networks []string
}

// passPrefix begins the ids of the proxy's entries that nobody has.
const passPrefix = "pass "

// passOn leaves the held ports to the container that comes in the place of this
// one. turn is held.
func (e *Engine) passOn(ctx context.Context, l *life, h *hold) error {
	c, _, _ := l.look()
	var move []wire.ProxyMove
	var all []*passed
	for _, p := range c.Status.Ports {
		addrs, err := hostAddresses(p)
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			i := slices.IndexFunc(h.ports, func(held heldPort) bool { return held.socket == socketName(p.Protocol, addr, p.HostPort) })
			if i < 0 || !h.ports[i].fixed {
				continue
			}
			held := h.ports[i]
			socket, err := wire.Duplicate(l.held.sockets[held.socket])
			if err != nil {
				return err
			}
			from := held.entry
			held.entry = passPrefix + held.socket
			// Nobody is there: those that wait are led when there is.
			move = append(move, wire.ProxyMove{From: from, ProxyEntry: heldEntry(held.entry, netip.IPv4Unspecified(), held.number)})
			all = append(all, &passed{
				binding: port.Binding{Protocol: port.Protocol(p.Protocol), Addr: addr, Port: p.HostPort},
				socket:  socket, held: held, from: l.id, networks: networksOf(c),
			})
		}
	}
	e.passing.mu.Lock()
	e.passing.all = append(e.passing.all, all...)
	e.passing.mu.Unlock()
	e.goDo(func() { e.dropAfter(all) })
	return e.proxy.move(ctx, move)
}

func networksOf(c condition) []string {
	var out []string
	for _, p := range c.Places {
		out = append(out, p.Network)
	}
	return out
}

// dropAfter drops what nobody has taken over in time.
func (e *Engine) dropAfter(all []*passed) {
	select {
	case <-time.After(holdTime):
	case <-e.ctx.Done(): // the next engine finds them in nobody's hands
	}
	if err := e.dropPassed(func(p *passed) bool { return slices.Contains(all, p) }); err != nil && e.ctx.Err() == nil {
		e.log.Error("ports are still held", "err", err)
	}
}

// takePassed takes out what fits.
func (e *Engine) takePassed(fits func(*passed) bool) (out []*passed) {
	e.passing.mu.Lock()
	defer e.passing.mu.Unlock()
	e.passing.all = slices.DeleteFunc(e.passing.all, func(p *passed) bool {
		if fits(p) {
			out = append(out, p)
			return true
		}
		return false
	})
	return out
}

// dropPassed closes what fits; who waits there is refused.
func (e *Engine) dropPassed(fits func(*passed) bool) error {
	gone := e.takePassed(fits)
	var ids []string
	for _, p := range gone {
		ids = append(ids, p.held.entry)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), killTime)
	defer cancel()
	err := e.proxy.set(ctx, nil, ids)
	for _, p := range gone {
		p.socket.Close()
	}
	return err
}

// inherit gives a container the held ports that it publishes on just these
// addresses, and adds their sockets to files by name; others that are in its way
// are dropped. It reports which there were. turn is held.
func (e *Engine) inherit(l *life, p spec.Port, number uint16, addrs []netip.Addr, files map[string]*os.File) (got, dropped bool, err error) {
	if p.Protocol != "tcp" || number == 0 {
		return false, false, nil
	}
	wanted := map[string]bool{}
	for _, addr := range addrs {
		wanted[socketName(p.Protocol, addr, number)] = true
	}
	taken := e.takePassed(func(other *passed) bool { return wanted[other.held.socket] })
	var owners []string
	for _, other := range e.passedInTheWay(p.Protocol, number, addrs) {
		owners = append(owners, other.from)
	}
	err = e.dropPassed(func(other *passed) bool { return other.held.host == number && slices.Contains(owners, other.from) })
	if len(taken) == 0 {
		return false, len(owners) > 0, err
	}
	if l.held.hold == nil {
		l.held.hold = &hold{until: time.Now().Add(holdTime)}
	}
	for _, t := range taken {
		t.held.number = p.ContainerPort
		files[t.held.socket] = t.socket
		l.held.hold.ports = append(l.held.hold.ports, t.held)
	}
	return true, len(owners) > 0, err
}

// passedInTheWay are the ports that belong to nobody and keep a port from being
// bound.
func (e *Engine) passedInTheWay(protocol string, number uint16, addrs []netip.Addr) (out []*passed) {
	e.passing.mu.Lock()
	defer e.passing.mu.Unlock()
	for _, other := range e.passing.all {
		b := other.binding
		has := []spec.Port{{HostIP: b.Addr.String(), HostPort: b.Port, Protocol: string(b.Protocol)}}
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool {
			return publishes(has, port.Binding{Protocol: port.Protocol(protocol), Addr: a, Port: number})
		}) {
			out = append(out, other)
		}
	}
	return out
}

// leadHeld has those who wait at ports that were taken over wait for this
// container. What of its ports is published at once is returned: the rest comes
// when the hold is over. turn is held.
func (e *Engine) leadHeld(ctx context.Context, l *life, target netip.Addr) ([]firewall.Port, error) {
	h := l.held.hold
	if h == nil {
		return l.held.published, nil
	}
	var move []wire.ProxyMove
	for i := range h.ports {
		p := &h.ports[i]
		id := proxyID(l.id, p.socket)
		if p.six = p.onSix || !target.Is4(); p.six {
			l.held.proxied = append(l.held.proxied, id)
		} else {
			id = holdPrefix + id
		}
		move = append(move, wire.ProxyMove{From: p.entry, ProxyEntry: heldEntry(id, target, p.number)})
		p.entry = id
	}
	l.noteHeld(h)
	var now []firewall.Port
	for _, p := range l.held.published {
		if p.Protocol == firewall.TCP && h.holds(p.HostPort) {
			h.elements = append(h.elements, p)
		} else {
			now = append(now, p)
		}
	}
	return now, e.proxy.move(ctx, move)
}
