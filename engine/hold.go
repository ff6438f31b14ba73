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
	"github.com/mycompose/mycompose/network/firewall"
)

// How long the ports of a container that is started anew are held, how often it
// is looked whether they are listened on again, and how long at most what it has
// not accepted yet is waited for before it is stopped.
const (
	holdTime  = 10 * time.Second
	holdPause = 5 * time.Millisecond
	queueTime = 100 * time.Millisecond
)

// holdPrefix begins the ids of the proxy's entries that hold.
const holdPrefix = "hold "

// hold are the published TCP ports of a container between a stop that keeps and
// the moment that the next process listens on them.
//
//	kernel: DNAT ──stop──▶ proxy accepts on the keeper's socket, and waits
//	                            │ the new process listens, or 10 s are over
//	kernel: DNAT ◀──────────────┴─▶ what was accepted is connected and copied
type hold struct {
	elements []firewall.Port
	ids      []string // of the proxy's entries
	ports    []uint16 // the container's
	until    time.Time
}

// holdPorts has connections wait that come while the container is started anew.
// That is a service, no duty: what goes wrong is logged. turn is held.
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
		if !p.Published || !p.Addr.Is4() {
			continue
		}
		if err := e.holdAt(l, c.Status.Ports, p.Addr); err != nil {
			e.log.Warn("ports are not held", "container", l.name(), "err", err)
		}
		return
	}
}

func (e *Engine) holdAt(l *life, ports []spec.Port, target netip.Addr) error {
	h := &hold{until: time.Now().Add(holdTime)}
	var add []proxied
	for _, p := range ports {
		addrs, err := hostAddresses(p)
		if err != nil || p.Protocol != "tcp" {
			continue
		}
		for _, addr := range addrs {
			name := socketName(p.Protocol, addr, p.HostPort)
			socket := l.held.sockets[name]
			if isIPv6(addr) || socket == nil {
				continue // the proxy has it already
			}
			entry := wire.ProxyEntry{
				ID: holdPrefix + proxyID(l.id, name), Addr: target.As4(), Port: p.ContainerPort, Hold: int(holdTime / time.Millisecond),
			}
			add = append(add, proxied{entry, socket})
			h.ids, h.ports = append(h.ids, entry.ID), append(h.ports, p.ContainerPort)
		}
	}
	if len(add) == 0 {
		return nil
	}
	h.elements = slices.DeleteFunc(slices.Clone(l.held.published), func(p firewall.Port) bool {
		return p.Protocol != firewall.TCP || !p.Target.Addr().Is4()
	})
	ctx, cancel := context.WithTimeout(e.ctx, killTime)
	defer cancel()
	if err := e.proxy.set(ctx, add, nil); err != nil {
		return err
	}
	l.held.hold = h
	for _, id := range h.ids {
		if !slices.Contains(l.held.heldOnce, id) {
			l.held.heldOnce = append(l.held.heldOnce, id)
		}
	}
	if err := e.rules.change(firewall.State{}, firewall.State{Ports: h.elements}); err != nil {
		return err
	}
	e.awaitAccepted(l, h)
	return nil
}

// awaitAccepted waits a moment until the process that is to end has accepted
// what the kernel has completed for it: a listening socket that is closed resets
// the rest. turn is held.
func (e *Engine) awaitAccepted(l *life, h *hold) {
	for end := time.Now().Add(queueTime); time.Now().Before(end); time.Sleep(holdPause / 5) {
		if _, queued := listening(l.held.pid, h.ports); queued == 0 {
			return
		}
	}
}

// letGo has connections reach the container itself again, and those that were
// held go through. turn is held.
func (e *Engine) letGo(ctx context.Context, l *life) error {
	h := l.held.hold
	if h == nil {
		return nil
	}
	l.held.hold = nil
	err := e.rules.change(firewall.State{Ports: h.elements}, firewall.State{})
	if err = errors.Join(err, e.proxy.drain(ctx, h.ids)); err != nil {
		return fmt.Errorf("cannot let go of the ports of %s: %w", l.name(), err)
	}
	return nil
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
		ready, _ = listening(l.held.pid, h.ports)
	}
	if !ready && time.Now().Before(h.until) {
		return false
	}
	if err := e.letGo(e.ctx, l); err != nil {
		e.log.Error("ports are still held", "container", l.name(), "err", err)
	}
	return true
}

// listening reports whether all ports are listened on in the network namespace
// of a process, and how many connections wait there to be accepted: proc(5),
// /proc/PID/net/tcp.
func listening(pid int, ports []uint16) (all bool, queued int) {
	found := map[uint16]bool{}
	for _, name := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/" + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			port, waiting, ok := listener(line)
			if ok && slices.Contains(ports, port) {
				found[port] = true
				queued += waiting
			}
		}
	}
	return !slices.ContainsFunc(ports, func(p uint16) bool { return !found[p] }), queued
}

// listener reads a line of /proc/PID/net/tcp: the port of a listening socket,
// and how many connections wait for accept(2).
func listener(line string) (port uint16, waiting int, ok bool) {
	const stateListen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 5 || fields[3] != stateListen {
		return 0, 0, false
	}
	_, hexPort, _ := strings.Cut(fields[1], ":")
	_, hexQueue, _ := strings.Cut(fields[4], ":")
	number, err := strconv.ParseUint(hexPort, 16, 16)
	if err != nil {
		return 0, 0, false
	}
	queue, err := strconv.ParseUint(hexQueue, 16, 32)
	return uint16(number), int(queue), err == nil
}
