package engine

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// proxyPorts has the proxy accept on what is reserved of the container's ports
// and the kernel cannot translate: those on IPv6 addresses, and those on IPv4
// ones where the container has IPv6 alone. turn is held.
func (e *Engine) proxyPorts(ctx context.Context, l *life, ports []spec.Port, at place) error {
	var add []proxied
	for _, p := range ports {
		addrs, err := hostAddresses(p)
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			name := socketName(p.Protocol, addr, p.HostPort)
			socket := l.held.sockets[name]
			if !isIPv6(addr) && at.Addr.IsValid() || socket == nil || l.held.hold.has(name) { // nil: the host has no IPv6
				continue
			}
			entry := proxyEntry(proxyID(l.id, name), at.main(), p.ContainerPort)
			add = append(add, proxied{entry, socket})
			l.held.proxied = append(l.held.proxied, entry.ID)
		}
	}
	if err := e.proxy.set(ctx, add, nil); err != nil {
		return fmt.Errorf("cannot publish the ports of %s on IPv6: %w", l.name(), err)
	}
	return nil
}

// proxyEntry leads to a container's address and port.
func proxyEntry(id string, target netip.Addr, number uint16) wire.ProxyEntry {
	entry := wire.ProxyEntry{ID: id, Port: number}
	if target.Is4() {
		entry.Addr = target.As4()
	} else {
		entry.Addr6 = target.As16()
	}
	return entry
}

// proxyID names an entry of the proxy: container and socket, both as in the
// keeper.
func proxyID(container, socket string) string { return container + " " + socket }

// keepAgain takes the sockets of a proxy that outlived keeper and daemon into
// what the keeper keeps: nobody could bind them again.
func (e *Engine) keepAgain(kept map[string]map[string]*os.File) error {
	entries, err := e.proxy.survivors(e.ctx)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.ID, passPrefix) { // nobody's
			entry.socket.Close()
			continue
		}
		id, name, _ := strings.Cut(strings.TrimPrefix(entry.ID, holdPrefix), " ")
		if kept[id][name] != nil {
			entry.socket.Close()
			continue
		}
		if kept[id] == nil {
			kept[id] = map[string]*os.File{}
		}
		kept[id][name] = entry.socket
		if err := e.cfg.Keeper.Keep(e.ctx, id, map[string]*os.File{name: entry.socket}); err != nil {
			return err
		}
	}
	return nil
}
