package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/port"
)

// ephemeralTries is how often a free port for both families is looked for.
const ephemeralTries = 16

// forkTime bounds how long descriptors that are closed here are waited for in
// children between fork and exec.
const forkTime = 3 * time.Second

// reserve binds the container's published ports and has them kept; what is
// published comes back with the ports that were chosen. turn is held.
func (e *Engine) reserve(ctx context.Context, l *life) ([]spec.Port, error) {
	files := map[string]*os.File{}
	var out []spec.Port
	for _, p := range e.hostPorts(l.rec.Blueprint, nil) {
		got, err := e.reservePort(l, p, files)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		out = append(out, got)
	}
	return out, e.hold(ctx, l, files)
}

// hostPorts are the blueprint's ports; those without a host address have the one
// that the network says which leads out. planned are networks that may not stand
// yet.
func (e *Engine) hostPorts(b spec.Blueprint, planned []spec.Network) []spec.Port {
	find := func(name string) *bridge {
		if found := e.bridge(name); found != nil {
			return found
		}
		for _, n := range planned {
			if n.Name == name {
				return newBridge(networkRecord{Network: n}, leases{})
			}
		}
		return nil
	}
	attachments := byPriority(b.Networks)
	i := uplink(attachments, func(i int) bool {
		n := find(attachments[i].Network)
		return n != nil && !n.rec.Network.Internal
	})
	if i < 0 || find(attachments[i].Network).options.HostIP == "" {
		return b.Ports
	}
	out := slices.Clone(b.Ports)
	for k := range out {
		out[k].HostIP = cmp.Or(out[k].HostIP, find(attachments[i].Network).options.HostIP)
	}
	return out
}

// reservePort binds one published port on all its addresses, and adds the
// sockets to files by name.
func (e *Engine) reservePort(l *life, p spec.Port, files map[string]*os.File) (spec.Port, error) {
	addrs, err := hostAddresses(p)
	if err != nil {
		return p, err
	}
	from, to := p.HostPort, max(p.HostPort, p.HostPortEnd)
	tries := int(to) - int(from) + 1
	if from == 0 {
		tries = ephemeralTries
	}
	for i := range tries {
		number := from
		if from != 0 {
			number += uint16(i)
		}
		var got, dropped bool
		if got, dropped, err = e.inherit(l, p, number, addrs, files); err != nil {
			break
		}
		left := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return files[socketName(p.Protocol, a, number)] != nil })
		bind := func() error { return bindAll(left, p.Protocol, &number, files) }
		err = bind()
		// A child that has not executed its program yet has what was dropped, too.
		dropped = dropped || isTaken(err) && e.lately.has(p.Protocol, number)
		for end := time.Now().Add(forkTime); dropped && isTaken(err) && time.Now().Before(end); err = bind() {
			time.Sleep(time.Millisecond)
		}
		if err == nil || got && noIPv6(err) {
			p.HostPort, p.HostPortEnd = number, 0
			return p, nil
		}
		if got || !isTaken(err) {
			break
		}
	}
	return p, fmt.Errorf("cannot publish port %s of %s: %w", portText(p), l.name(), e.nameOwner(err, p, nil))
}

// bindAll binds the port on every address, or on none. Number 0 becomes the
// port that the kernel chose for the first.
func bindAll(addrs []netip.Addr, protocol string, number *uint16, files map[string]*os.File) error {
	made := map[string]*os.File{}
	for i, addr := range addrs {
		b := port.Binding{Protocol: port.Protocol(protocol), Addr: addr, Port: *number}
		f, err := port.Reserve(b)
		if err == nil && *number == 0 {
			*number, err = port.Number(f)
			b.Port = *number
		}
		if i > 0 && noIPv6(err) {
			continue // a host without IPv6: IPv4 is all there is
		}
		if err != nil {
			if f != nil {
				f.Close()
			}
			for _, other := range made {
				other.Close()
			}
			return err
		}
		made[socketName(protocol, addr, b.Port)] = f
	}
	for name, f := range made {
		files[name] = f
	}
	return nil
}

// socketName names a reserved port among a container's sockets.
func socketName(protocol string, addr netip.Addr, number uint16) string {
	return protocol + " " + netip.AddrPortFrom(addr, number).String()
}

// hostAddresses are the addresses that a port is published on.
func hostAddresses(p spec.Port) ([]netip.Addr, error) {
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return nil, spec.Errorf(spec.ErrUnsupported, "cannot publish port %s: protocol %q is not built yet", portText(p), p.Protocol)
	}
	if p.HostIP == "" {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
	}
	addr, err := netip.ParseAddr(p.HostIP)
	if err != nil {
		return nil, spec.Errorf(spec.ErrInvalid, "cannot publish port %s: %q is no address", portText(p), p.HostIP)
	}
	return []netip.Addr{addr.Unmap()}, nil
}

// isIPv6 reports whether the kernel cannot translate the address to a
// container's, which is IPv4: the proxy serves it.
func isIPv6(addr netip.Addr) bool { return addr.Is6() && !addr.Is4In6() }

func portText(p spec.Port) string {
	text := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
	if p.HostPort != 0 {
		text = fmt.Sprintf("%d:%s", p.HostPort, text)
	}
	switch {
	case strings.Contains(p.HostIP, ":"):
		text = "[" + p.HostIP + "]:" + text
	case p.HostIP != "":
		text = p.HostIP + ":" + text
	}
	return text
}

func isTaken(err error) bool {
	var taken *port.TakenError
	return errors.As(err, &taken)
}

// nameOwner turns a taken port's error into spec.ErrPortTaken with the name of
// the container of ours, or of the process, that has it. except are containers
// that count as gone: for them alone it returns nil.
func (e *Engine) nameOwner(err error, p spec.Port, except map[string]bool) error {
	var taken *port.TakenError
	if !errors.As(err, &taken) {
		return err
	}
	gone := false
	for _, l := range e.all() {
		c, _, _ := l.look()
		if !c.Held || !publishes(c.Status.Ports, taken.Binding) {
			continue
		}
		if !except[l.id] {
			owner := "container " + l.name()
			if project := l.rec.Blueprint.Project; project != "" {
				owner += " of project " + project
			}
			return portTaken(p, taken.Binding, owner)
		}
		gone = true
	}
	if gone {
		return nil
	}
	if owner, ok := port.Owner(taken.Binding); ok {
		return portTaken(p, taken.Binding, owner.String())
	}
	return portTaken(p, taken.Binding, "another program")
}

// portTaken says who has a port, and which free one is next to it.
func portTaken(p spec.Port, b port.Binding, owner string) error {
	free := ""
	if addrs, err := hostAddresses(p); err == nil {
		if n, ok := freeBehind(addrs, p.Protocol, b.Port); ok {
			free = fmt.Sprintf(", %d is free", n)
		}
	}
	return spec.Errorf(spec.ErrPortTaken, "port %d/%s is taken by %s%s", b.Port, p.Protocol, owner, free)
}

// proposals is how many ports behind a taken one are tried.
const proposals = 100

// freeBehind finds the first port behind number that could be bound now.
func freeBehind(addrs []netip.Addr, protocol string, number uint16) (uint16, bool) {
	for range proposals {
		if number++; number == 0 {
			return 0, false
		}
		files, n := map[string]*os.File{}, number
		err := bindAll(addrs, protocol, &n, files)
		for _, f := range files {
			f.Close()
		}
		if err == nil {
			return number, true
		}
	}
	return 0, false
}

// publishes reports whether one of the ports keeps b from being bound.
func publishes(ports []spec.Port, b port.Binding) bool {
	for _, p := range ports {
		if p.HostPort == b.Port && p.Protocol == string(b.Protocol) && overlaps(p.HostIP, b.Addr) {
			return true
		}
	}
	return false
}

func overlaps(hostIP string, addr netip.Addr) bool {
	if hostIP == "" {
		return true
	}
	other, err := netip.ParseAddr(hostIP)
	if err != nil || isIPv6(other) != isIPv6(addr) {
		return false // our IPv6 sockets are IPv6 only
	}
	return addr.IsUnspecified() || other.IsUnspecified() || other.Unmap() == addr.Unmap()
}

// elements are the firewall's for the ports of a container at a place: on IPv4
// addresses, and with an address of its own on IPv6 ones. The rest is the
// proxy's.
func elements(ports []spec.Port, at place) []firewall.Port {
	var out []firewall.Port
	for _, p := range ports {
		host, err := netip.ParseAddr(p.HostIP)
		named := err == nil // else all addresses of both families
		f := firewall.Port{Protocol: firewall.TCP, HostPort: p.HostPort}
		if p.Protocol == "udp" {
			f.Protocol = firewall.UDP
		}
		if named && !host.IsUnspecified() {
			f.Host = host.Unmap()
		}
		if at.Addr.IsValid() && (!named || !isIPv6(host)) {
			f.Target = netip.AddrPortFrom(at.Addr, p.ContainerPort)
			out = append(out, f)
		}
		if at.Addr6.IsValid() && (!named || isIPv6(host) && !host.IsLoopback()) {
			f.Target = netip.AddrPortFrom(at.Addr6, p.ContainerPort)
			out = append(out, f)
		}
	}
	return out
}
