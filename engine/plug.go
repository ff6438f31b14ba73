package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// Network modes of a blueprint.
const (
	modeBridge    = "bridge"
	modeHost      = "host"
	modeNone      = "none"
	modeContainer = "container:" // and an id
)

// noIPv6 reports whether an error means that the host has no IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// bridged reports whether the container has places on networks of ours.
func bridged(b spec.Blueprint) bool {
	return (b.NetworkMode == modeBridge || b.NetworkMode == "") && len(b.Networks) > 0
}

// findPlaces leases an address for each network of the container, in the order
// in which its interfaces will stand: by priority, then as written. turn is
// held.
func (e *Engine) findPlaces(l *life) ([]place, []network.Endpoint, error) {
	if !bridged(l.rec.Blueprint) {
		return nil, nil, nil
	}
	attachments := byPriority(l.attachments())
	var places []place
	var endpoints []network.Endpoint
	for _, a := range attachments {
		p, endpoint, err := e.findPlace(l, a)
		if err != nil {
			return nil, nil, err
		}
		places = append(places, p)
		endpoints = append(endpoints, endpoint)
	}
	for i, gateways := range e.uplinks(attachments, places) {
		endpoints[i].Gateways = gateways
	}
	if i := e.publisher(attachments); i >= 0 {
		places[i].Published = true
	}
	return places, endpoints, nil
}

// findPlace leases the addresses of one attachment. turn is held.
func (e *Engine) findPlace(l *life, a spec.Attachment) (place, network.Endpoint, error) {
	b, err := e.joinedBridge(a.Network)
	if err != nil {
		return place{}, network.Endpoint{}, err
	}
	if b.newer != nil {
		return place{}, network.Endpoint{}, fmt.Errorf("cannot join network %s: %w", a.Network, b.newer)
	}
	four, six, err := e.lease(l, b, a)
	if err != nil {
		return place{}, network.Endpoint{}, err
	}
	p := place{Network: a.Network, Bridge: b.rec.Bridge, Addr: four, Addr6: six}
	mac, err := hardwareAddress(a, p.main())
	if err != nil {
		return place{}, network.Endpoint{}, err
	}
	p.MAC = mac.String()
	endpoint, err := b.endpoint(e.linkPrefix(), a, p, mac)
	return p, endpoint, err
}

// uplinks are the gateways of each place's default routes. Each family has its
// own: that of the best attachment that leads out and has an address of it.
func (e *Engine) uplinks(attachments []spec.Attachment, places []place) [][]netip.Addr {
	out := make([][]netip.Addr, len(places))
	for _, family := range []func(place) netip.Addr{place.four, place.six} {
		i := uplink(attachments, func(i int) bool { return e.outward(places[i].Network) && family(places[i]).IsValid() })
		if i >= 0 {
			out[i] = append(out[i], e.bridge(places[i].Network).route(family(places[i])))
		}
	}
	return out
}

// publisher chooses the attachment that host ports lead to: the best one that
// leads out and has a bridge, -1 if there is none.
func (e *Engine) publisher(attachments []spec.Attachment) int {
	return uplink(attachments, func(i int) bool {
		name := attachments[i].Network
		return e.outward(name) && e.bridge(name).bridged()
	})
}

// uplink chooses, of the attachments that may be, the one with the highest gateway
// priority, then the first; -1 if there is none.
func uplink(attachments []spec.Attachment, may func(i int) bool) int {
	best := -1
	for i, a := range attachments {
		if may(i) && (best < 0 || a.GatewayPriority > attachments[best].GatewayPriority) {
			best = i
		}
	}
	return best
}

// outward reports whether a network leads out of the host.
func (e *Engine) outward(name string) bool {
	b := e.bridge(name)
	return b != nil && !b.rec.Network.Internal
}

// byPriority are attachments in the order in which their interfaces stand.
func byPriority(attachments []spec.Attachment) []spec.Attachment {
	return slices.SortedStableFunc(slices.Values(attachments), func(a, b spec.Attachment) int { return b.Priority - a.Priority })
}

// route is the gateway of the default route from an address on the network.
func (b *bridge) route(from netip.Addr) netip.Addr {
	switch {
	case b.options.Mode != "l3" && b.options.Mode != "l3s":
		return b.config(from).Gateway
	case from.Is4(): // no neighbours there
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// endpoint is a link on the network, without a default route.
func (b *bridge) endpoint(prefix string, a spec.Attachment, p place, mac net.HardwareAddr) (network.Endpoint, error) {
	e := network.Endpoint{
		Bridge: b.rec.Bridge, Prefix: prefix, MAC: mac, MTU: b.mtu(), Isolated: b.options.NoICC,
		Name: a.InterfaceName, NamePrefix: b.options.IfPrefix,
	}
	for _, addr := range p.addrs() {
		e.Addresses = append(e.Addresses, netip.PrefixFrom(addr, b.config(addr).Subnet.Bits()))
	}
	if !b.bridged() {
		e.Kind, e.Parent, e.Mode, e.Flag = network.LinkKind(b.driver()), b.rec.Bridge, b.options.Mode, b.options.Flag
	}
	for _, word := range a.LinkLocal {
		addr, err := netip.ParseAddr(word)
		if err != nil || !addr.IsLinkLocalUnicast() {
			return e, spec.Errorf(spec.ErrInvalid, "cannot use %q on network %s: it is no link-local address", word, a.Network)
		}
		bits := 16
		if addr.Is6() {
			bits = 64
		}
		e.Addresses = append(e.Addresses, netip.PrefixFrom(addr, bits))
	}
	return e, nil
}

// plug makes the container's network namespace with its links and, on networks
// of ours, its resolver's sockets. made is for network.Host.Plug. turn is held.
func (e *Engine) plug(ctx context.Context, l *life, endpoints []network.Endpoint, made func(*os.File)) error {
	switch mode := l.rec.Blueprint.NetworkMode; {
	case mode == modeHost:
		return nil
	case strings.HasPrefix(mode, modeContainer):
		return e.share(ctx, l, strings.TrimPrefix(mode, modeContainer))
	}
	if len(endpoints) == 0 {
		ns, err := network.NewNamespace()
		l.held.netns = ns // from here release closes it
		return err
	}
	at, err := e.host.Plug(endpoints, leading(l.rec.Blueprint), made)
	if err != nil {
		return fmt.Errorf("cannot attach %s to its networks: %w", l.name(), err)
	}
	l.held.netns = at.NS // from here release closes it
	l.set(func(c *condition) {
		for i := range c.Places {
			c.Places[i].Link, c.Places[i].Inside = at.Links[i].Host, at.Links[i].Inside
		}
	})
	e.persist(l) // an engine that finds it running must not take them for remains
	return e.holdResolver(ctx, l, at.Resolver)
}

// share takes the network namespace of a running container.
func (e *Engine) share(ctx context.Context, l *life, word string) error {
	owner, err := e.Find(word)
	if err != nil {
		return fmt.Errorf("cannot share a network: %w", err)
	}
	o, err := e.life(owner.Blueprint.ID)
	if err != nil {
		return err
	}
	ns, host, err := o.namespace()
	if err != nil || host {
		return err
	}
	l.held.netns = ns
	if leading(l.rec.Blueprint) != network.Held {
		return nil
	}
	return e.holdRules(ctx, o)
}

// publish puts the container's ports into the firewall, and those that it
// cannot serve into the proxy. turn is held.
func (e *Engine) publish(ctx context.Context, l *life, places []place, ports []spec.Port) error {
	if err := e.admitGuest(ctx, l, places); err != nil {
		return fmt.Errorf("cannot let %s to the host's loopback: %w", l.name(), err)
	}
	for _, p := range places {
		if !p.Published || len(ports) == 0 {
			continue
		}
		l.held.published = elements(ports, p)
		now, err := e.leadHeld(ctx, l, p.main())
		if err != nil {
			return fmt.Errorf("cannot lead who waits at the ports of %s: %w", l.name(), err)
		}
		if err := e.rules.change(firewall.State{Ports: now}, firewall.State{}); err != nil {
			return fmt.Errorf("cannot publish the ports of %s: %w", l.name(), err)
		}
		if err := e.forgetUDP(l.held.published); err != nil {
			return err
		}
		return e.proxyPorts(ctx, l, ports, p)
	}
	return nil
}

// unpublish is the inverse of publish. turn is held.
func (e *Engine) unpublish(ctx context.Context, l *life) error {
	gone := l.held.published
	l.held.published = nil
	var err error
	ids := slices.Concat(l.held.proxied, l.held.heldOnce)
	if h := l.held.hold; h != nil {
		ids = slices.Concat(ids, h.entries(false), h.entries(true))
		gone = slices.DeleteFunc(gone, func(p firewall.Port) bool { return slices.Contains(h.elements, p) })
		if l.held.passes {
			err = e.passOn(ctx, l, h)
		}
	}
	l.held.hold, l.held.passes = nil, false
	err = errors.Join(err, e.proxy.set(ctx, nil, ids))
	l.held.proxied, l.held.heldOnce = nil, nil
	err = errors.Join(err, e.admitGuest(ctx, l, nil))
	if len(gone) == 0 {
		return err
	}
	changeErr := again(ctx, func() error { return e.rules.change(firewall.State{}, firewall.State{Ports: gone}) })
	return errors.Join(err, changeErr, e.forgetUDP(gone))
}

func (e *Engine) forgetUDP(ports []firewall.Port) error {
	for _, p := range ports {
		if p.Protocol == firewall.UDP {
			return firewall.ForgetUDP(nil, ports)
		}
	}
	return nil
}
