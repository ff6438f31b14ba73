package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// How long the ports of a container that is started or made anew are held, how
// often it is looked whether they are listened on again, and how long at most
// what it has not accepted yet is waited for before it is stopped.
const (
	holdTime  = 10 * time.Second
	holdPause = 5 * time.Millisecond
	queueTime = 100 * time.Millisecond
)

// holdPrefix begins the ids of the proxy's entries that hold on IPv4.
const holdPrefix = "hold "

// hold are the published TCP ports of a container between a stop that holds them
// and the moment that the next process listens on them, in this container or in
// the one that comes in its place (see passing).
//
//	IPv4  kernel: DNAT ──stop──▶ proxy accepts on the keeper's socket, and waits
//	                                 │ the new process listens, or 10 s are over
//	      kernel: DNAT ◀─────────────┴─▶ what was accepted is connected and copied
//	IPv6  proxy connects at once ──stop──▶ proxy waits ──▶ proxy connects at once
type hold struct {
	elements []firewall.Port // not in force meanwhile
	ports    []heldPort
	until    time.Time
}

// heldPort is one socket that is held.
type heldPort struct {
	entry  string // the proxy's
	socket string // the name among the container's sockets
	// host and number are the host's and the container's port; fixed: the host's
	// is one that was asked for.
	host, number uint16
	fixed        bool
	// onSix is on an IPv6 address; six is served by the proxy at all times, as
	// those are, and all of a container with IPv6 alone.
	onSix, six bool
}

// numbers are the container's ports.
func (h *hold) numbers() []uint16 {
	var out []uint16
	for _, p := range h.ports {
		out = append(out, p.number)
	}
	return out
}

// has reports whether a socket is among them; nil has none.
func (h *hold) has(socket string) bool {
	return h != nil && slices.ContainsFunc(h.ports, func(p heldPort) bool { return p.socket == socket })
}

// holds reports whether a port of the host's is among them.
func (h *hold) holds(host uint16) bool {
	return slices.ContainsFunc(h.ports, func(p heldPort) bool { return p.host == host })
}

// entries are the proxy's entries of one family.
func (h *hold) entries(six bool) []string {
	var out []string
	for _, p := range h.ports {
		if p.six == six {
			out = append(out, p.entry)
		}
	}
	return out
}

// heldEntry is an entry that has its connections wait.
func heldEntry(id string, target netip.Addr, number uint16) wire.ProxyEntry {
	entry := proxyEntry(id, target, number)
	entry.Hold = int(holdTime / time.Millisecond)
	return entry
}

// holdPorts has connections wait that come while the container is started or
// made anew. That is a service, no duty: what goes wrong is logged. turn is held.
func (e *Engine) holdPorts(l *life) {
	if h := l.held.hold; h != nil {
		h.until = time.Now().Add(holdTime) // once more
		return
	}
	if !l.held.plugged {
		return
	}
	c, _, _ := l.look()
	for _, p := range c.Places {
		if !p.Published {
			continue
		}
		if err := e.holdAt(l, c.Status.Ports, p.main()); err != nil {
			e.log.Warn("ports are not held", "container", l.name(), "err", err)
		}
		return
	}
}

func (e *Engine) holdAt(l *life, ports []spec.Port, target netip.Addr) error {
	h := &hold{until: time.Now().Add(holdTime)}
	var add []proxied
	var move []wire.ProxyMove
	for _, p := range ports {
		addrs, err := hostAddresses(p)
		if err != nil || p.Protocol != "tcp" {
			continue
		}
		for _, addr := range addrs {
			name := socketName(p.Protocol, addr, p.HostPort)
			socket := l.held.sockets[name]
			if socket == nil { // the host has no IPv6
				continue
			}
			held := heldPort{
				entry: proxyID(l.id, name), socket: name, host: p.HostPort, number: p.ContainerPort,
				onSix: isIPv6(addr), six: isIPv6(addr) || !target.Is4(), fixed: l.fixed(p),
			}
			if held.six {
				move = append(move, wire.ProxyMove{From: held.entry, ProxyEntry: heldEntry(held.entry, target, held.number)})
			} else {
				held.entry = holdPrefix + held.entry
				add = append(add, proxied{heldEntry(held.entry, target, held.number), socket})
			}
			h.ports = append(h.ports, held)
		}
	}
	if len(h.ports) == 0 {
		return nil
	}
	h.elements = slices.DeleteFunc(slices.Clone(l.held.published), func(p firewall.Port) bool { return p.Protocol != firewall.TCP })
	ctx, cancel := context.WithTimeout(e.ctx, killTime)
	defer cancel()
	if err := errors.Join(e.proxy.set(ctx, add, nil), e.proxy.move(ctx, move)); err != nil {
		return errors.Join(err, e.unhold(e.ctx, l, h))
	}
	l.held.hold = h
	l.noteHeld(h)
	if err := e.rules.change(firewall.State{}, firewall.State{Ports: h.elements}); err != nil {
		return err
	}
	e.awaitAccepted(l, h)
	return nil
}

// fixed reports whether a port of the host's is one that the blueprint names.
func (l *life) fixed(p spec.Port) bool {
	return slices.ContainsFunc(l.rec.Blueprint.Ports, func(b spec.Port) bool {
		return b.Protocol == p.Protocol && b.ContainerPort == p.ContainerPort &&
			b.HostPort != 0 && b.HostPort <= p.HostPort && p.HostPort <= max(b.HostPort, b.HostPortEnd)
	})
}

// noteHeld notes the entries whose drained connections are the container's.
func (l *life) noteHeld(h *hold) {
	for _, id := range h.entries(false) {
		if !slices.Contains(l.held.heldOnce, id) {
			l.held.heldOnce = append(l.held.heldOnce, id)
		}
	}
}

// awaitAccepted waits a moment until the process that is to end has accepted
// what the kernel has completed for it: a listening socket that is closed resets
// the rest. turn is held.
func (e *Engine) awaitAccepted(l *life, h *hold) {
	for end := time.Now().Add(queueTime); time.Now().Before(end); time.Sleep(holdPause / 5) {
		if _, queued := l.held.listening(h.numbers()); queued == 0 {
			return
		}
	}
}

// letGo has connections reach the container itself again, and those that were
// held go through. turn is held.
func (e *Engine) letGo(ctx context.Context, l *life) error {
	h := l.held.hold
	l.held.hold = nil
	err := e.rules.change(firewall.State{Ports: h.elements}, firewall.State{})
	if err = errors.Join(err, e.unhold(ctx, l, h)); err != nil {
		return fmt.Errorf("cannot let go of the ports of %s: %w", l.name(), err)
	}
	return nil
}

// unhold takes the proxy's part of a hold back. turn is held.
func (e *Engine) unhold(ctx context.Context, l *life, h *hold) error {
	c, _, _ := l.look()
	var move []wire.ProxyMove
	for _, p := range c.Places {
		if !p.Published {
			continue
		}
		for _, held := range h.ports {
			if held.six {
				move = append(move, wire.ProxyMove{From: held.entry, ProxyEntry: proxyEntry(held.entry, p.main(), held.number)})
			}
		}
	}
	return errors.Join(e.proxy.drain(ctx, h.entries(false)), e.proxy.move(ctx, move))
}

// letGoWhenReady lets go once the process that has just been started listens on
// the ports that are held. turn is held.
func (e *Engine) letGoWhenReady(l *life) {
	h := l.held.hold
	if h == nil {
		return
	}
	e.goDo(func() {
		for !e.letGoIfReady(l, h) {
			select {
			case <-time.After(holdPause):
			case <-e.ctx.Done():
				return // the next engine finds the ports published as ever
			}
		}
	})
}

// letGoIfReady reports whether the hold is over.
func (e *Engine) letGoIfReady(l *life, h *hold) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.held.hold != h {
		return true
	}
	c, _, _ := l.look()
	ready := false
	if c.Status.State == spec.StateRunning && !l.held.ended() {
		ready, _ = l.held.listening(h.numbers())
	}
	if !ready && time.Now().Before(h.until) {
		return false
	}
	if err := e.letGo(e.ctx, l); err != nil {
		e.log.Error("ports are still held", "container", l.name(), "err", err)
	}
	return true
}

// listening reports whether all ports are listened on in the container's network
// namespace, and how many connections wait there to be accepted. turn is held.
func (h *held) listening(ports []uint16) (all bool, queued int) {
	listeners, err := network.Listeners(h.netns)
	if err != nil { // the kernel has no tcp_diag
		listeners = readListeners(h.pid)
	}
	found := map[uint16]bool{}
	for _, l := range listeners {
		if slices.Contains(ports, l.Port) {
			found[l.Port] = true
			queued += l.Queued
		}
	}
	return !slices.ContainsFunc(ports, func(p uint16) bool { return !found[p] }), queued
}

// readListeners are those of a process's network namespace: proc(5),
// /proc/PID/net/tcp.
func readListeners(pid int) (out []network.Listener) {
	for _, name := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/" + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if l, ok := listener(line); ok {
				out = append(out, l)
			}
		}
	}
	return out
}

// listener reads a line of /proc/PID/net/tcp.
func listener(line string) (l network.Listener, ok bool) {
	const stateListen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[3] != stateListen {
		return l, false
	}
	_, hexPort, _ := strings.Cut(fields[1], ":")
	_, hexQueue, _ := strings.Cut(fields[4], ":")
	number, err := strconv.ParseUint(hexPort, 16, 16)
	if err != nil {
		return l, false
	}
	queue, err := strconv.ParseUint(hexQueue, 16, 32)
	return network.Listener{Port: uint16(number), Queued: int(queue)}, err == nil
}
