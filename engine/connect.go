package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// FindNetwork finds a network by name, id, or the beginning of an id.
func (e *Engine) FindNetwork(word string) (spec.Network, error) {
	if b := e.bridge(word); b != nil {
		return b.network(), nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []*bridge
	for _, b := range e.networks {
		if word != "" && strings.HasPrefix(b.id(), word) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		return spec.Network{}, spec.Errorf(spec.ErrNotFound, "network %s not found", word)
	case 1:
		return found[0].network(), nil
	}
	return spec.Network{}, spec.Errorf(spec.ErrInvalid, "network %s is ambiguous: %d begin with it", word, len(found))
}

// InspectNetwork finds a network as FindNetwork does, with what is live of it.
func (e *Engine) InspectNetwork(_ context.Context, word string) (spec.NetworkDetails, error) {
	n, err := e.FindNetwork(word)
	if err != nil {
		return spec.NetworkDetails{}, err
	}
	b := e.bridge(n.Name)
	if b == nil {
		return spec.NetworkDetails{}, spec.Errorf(spec.ErrNotFound, "network %s not found", word)
	}
	out := spec.NetworkDetails{Network: n, Link: b.rec.Bridge}
	wanted := firewall.State{Networks: b.wanted()}
	for _, l := range e.all() {
		c, _, _ := l.look()
		for _, p := range c.Places {
			if !c.Held || p.Network != n.Name {
				continue
			}
			out.Containers = append(out.Containers, l.id)
			out.Attached = append(out.Attached, b.member(l, p))
			if p.Published {
				wanted.Ports = append(wanted.Ports, elements(c.Status.Ports, p)...)
			}
		}
	}
	slices.SortFunc(out.Attached, func(a, b spec.NetworkMember) int { return strings.Compare(a.Name, b.Name) })
	out.Names = map[string][]string{}
	for name, addrs := range e.zone.Names(n.Name) {
		for _, a := range addrs {
			out.Names[name] = append(out.Names[name], a.String())
		}
	}
	if out.Rules, err = e.rules.table.Live(wanted); err != nil {
		return out, err
	}
	routes, err := e.host.Routes()
	if err != nil {
		return out, err
	}
	out.Clashes = b.clashes(routes)
	return out, nil
}

func (b *bridge) member(l *life, p place) spec.NetworkMember {
	m := spec.NetworkMember{ID: l.id, Name: l.name(), Link: p.Inside, MAC: p.MAC}
	if p.Addr.IsValid() {
		m.IPv4 = netip.PrefixFrom(p.Addr, b.config(p.Addr).Subnet.Bits()).String()
	}
	if p.Addr6.IsValid() {
		m.IPv6 = netip.PrefixFrom(p.Addr6, b.config(p.Addr6).Subnet.Bits()).String()
	}
	return m
}

// clashes are routes that came after the network was made and lead into its
// subnets by another link.
func (b *bridge) clashes(routes []network.HostRoute) []string {
	var out []string
	for _, c := range b.rec.Configs {
		for _, r := range routes {
			if b.bridged() && r.Link != "" && r.Link != b.rec.Bridge && r.Prefix.Overlaps(c.Subnet) && r.Prefix.Bits() >= c.Subnet.Bits() {
				out = append(out, fmt.Sprintf("route %s leads into subnet %s", r, c.Subnet))
			}
		}
	}
	return out
}

// PruneNetworks removes the networks that no container is on or would join at
// its start, of those that keep leaves, and returns their names, sorted.
func (e *Engine) PruneNetworks(ctx context.Context, prune func(spec.Network) bool) ([]string, error) {
	used := map[string]bool{}
	for _, l := range e.all() {
		for _, a := range l.attachments() {
			used[a.Network] = true
		}
	}
	all, err := e.Networks(ctx)
	if err != nil {
		return nil, err
	}
	var gone []string
	var errs []error
	for _, n := range all {
		if used[n.Name] || !prune(n) {
			continue
		}
		if err := e.RemoveNetwork(ctx, n.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, n.Name)
	}
	return gone, errors.Join(errs...)
}

// ConnectNetwork gives a container a place on a further network; one that runs
// at once, with names, ports and default route.
func (e *Engine) ConnectNetwork(ctx context.Context, container string, a spec.Attachment) error {
	l, b, err := e.joinable(container, a.Network)
	if err != nil {
		return err
	}
	a.Network = b.rec.Network.Name
	l.turn.Lock()
	defer l.turn.Unlock()
	c, _, removed := l.look()
	if removed {
		return spec.Errorf(spec.ErrNotFound, "container %s was removed", l.name())
	}
	if slices.ContainsFunc(l.attachments(), func(other spec.Attachment) bool { return other.Network == a.Network }) {
		return spec.Errorf(spec.ErrConflict, "container %s is on network %s already", l.name(), a.Network)
	}
	// On a network of the blueprint it is again who it was there.
	for _, own := range l.rec.Blueprint.Networks {
		if own.Network == a.Network {
			a.LeaseKey = own.LeaseKey
			a.Aliases = append(slices.Clone(own.Aliases), a.Aliases...)
		}
	}
	before := c
	l.set(func(c *condition) { c.Connected = append(c.Connected, a) })
	if c.Held && l.held.plugged {
		err = e.plugOne(ctx, l, a)
	} else {
		_, _, err = e.findPlace(l, a) // an address that cannot be is told now
	}
	if err != nil {
		l.set(func(c *condition) { c.Connected = before.Connected })
		return fmt.Errorf("cannot connect %s to network %s: %w", l.name(), a.Network, err)
	}
	e.persist(l)
	return nil
}

// DisconnectNetwork is the inverse of ConnectNetwork, also for a network of the
// blueprint.
func (e *Engine) DisconnectNetwork(ctx context.Context, container, word string) error {
	l, b, err := e.joinable(container, word)
	if err != nil {
		return err
	}
	name := b.rec.Network.Name
	l.turn.Lock()
	defer l.turn.Unlock()
	i := slices.IndexFunc(l.attachments(), func(a spec.Attachment) bool { return a.Network == name })
	if i < 0 {
		return spec.Errorf(spec.ErrNotFound, "container %s is not on network %s", l.name(), name)
	}
	a := l.attachments()[i]
	if c, _, _ := l.look(); c.Held && l.held.plugged {
		err = e.unplugOne(ctx, l, name)
	}
	keys := []string{l.id}
	if a.LeaseKey != "" && len(e.leaseSharers(l, a, false)) == 0 {
		keys = append(keys, a.LeaseKey)
	}
	if err == nil {
		err = e.endLeases(b, keys)
	}
	l.set(func(c *condition) {
		c.Connected = slices.DeleteFunc(c.Connected, func(a spec.Attachment) bool { return a.Network == name })
		wrote := func(a spec.Attachment) bool { return a.Network == name }
		if slices.ContainsFunc(l.rec.Blueprint.Networks, wrote) && !slices.Contains(c.Disconnected, name) {
			c.Disconnected = append(c.Disconnected, name)
		}
	})
	e.persist(l)
	if err != nil {
		return fmt.Errorf("cannot disconnect %s from network %s: %w", l.name(), name, err)
	}
	return nil
}

// joinable finds a container and a network that go together.
func (e *Engine) joinable(container, word string) (*life, *bridge, error) {
	found, err := e.Find(container)
	if err != nil {
		return nil, nil, err
	}
	n, err := e.FindNetwork(word)
	if err != nil {
		return nil, nil, err
	}
	l, err := e.changeable(found.Blueprint.ID)
	if err != nil {
		return nil, nil, err
	}
	if mode := l.rec.Blueprint.NetworkMode; mode != modeBridge && mode != "" {
		return nil, nil, spec.Errorf(spec.ErrInvalid, "container %s has network mode %s and no networks of its own", l.name(), mode)
	}
	b := e.bridge(n.Name)
	if b == nil {
		return nil, nil, spec.Errorf(spec.ErrNotFound, "network %s not found", word)
	}
	return l, b, nil
}

// plugOne gives a container that is up one more link. turn is held.
func (e *Engine) plugOne(ctx context.Context, l *life, a spec.Attachment) error {
	p, endpoint, err := e.findPlace(l, a)
	if err != nil {
		return err
	}
	if l.held.detaching != nil {
		<-l.held.detaching // its name can be had again
	}
	taken, err := network.LinkNames(l.held.netns)
	if err != nil {
		return err
	}
	links, err := e.host.Attach(l.held.netns, []network.Endpoint{endpoint}, taken...)
	if err != nil {
		return err
	}
	p.Link, p.Inside = links[0].Host, links[0].Inside
	hosts := e.hostsOf(l)
	l.set(func(c *condition) { c.Places = append(c.Places, p) })
	if err := e.rearrange(ctx, l); err != nil {
		return errors.Join(err, e.unplugOne(ctx, l, a.Network))
	}
	e.followHosts(l, hosts)
	return nil
}

// unplugOne takes a link from a container that is up. turn is held.
func (e *Engine) unplugOne(ctx context.Context, l *life, name string) error {
	c, _, _ := l.look()
	i := slices.IndexFunc(c.Places, func(p place) bool { return p.Network == name })
	if i < 0 {
		return nil
	}
	gone, hosts := c.Places[i], e.hostsOf(l)
	l.set(func(c *condition) {
		c.Places = slices.DeleteFunc(c.Places, func(p place) bool { return p.Network == name })
	})
	// Names and ports go first: nobody is sent to a link that is going.
	err := e.rearrange(ctx, l)
	e.followHosts(l, hosts)
	return errors.Join(err, e.detachLink(l, gone.Inside))
}

// rearrange makes names, published ports and the default route follow the
// places of a container that is up. turn is held.
func (e *Engine) rearrange(ctx context.Context, l *life) error {
	c, _, _ := l.look()
	attachments := make([]spec.Attachment, len(c.Places))
	was := -1
	for i, p := range c.Places {
		attachments[i] = spec.Attachment{Network: p.Network}
		for _, a := range l.attachments() {
			if a.Network == p.Network {
				attachments[i] = a
			}
		}
		if p.Published {
			was = i
		}
	}
	now := e.publisher(attachments)
	l.set(func(c *condition) {
		for i := range c.Places {
			c.Places[i].Published = i == now
		}
		c.Status.Endpoints = endpointsOf(c.Places)
	})
	c, _, _ = l.look()
	if len(c.Places) == 0 {
		e.zone.Drop(l.id)
	}
	e.announce(l, c.Places, c.Status.State == spec.StateRunning)
	// A default route goes with its link, so that there is one to replace.
	for i, gateways := range e.uplinks(attachments, c.Places) {
		if len(gateways) == 0 {
			continue
		}
		if err := network.Route(l.held.netns, c.Places[i].Inside, gateways); err != nil {
			return err
		}
	}
	if now == was && now >= 0 {
		return e.admitGuest(ctx, l, c.Places)
	}
	if err := e.unpublish(ctx, l); err != nil {
		return err
	}
	return e.publish(ctx, l, c.Places, c.Status.Ports)
}

// detachLink takes a link from a container: at once what it can do, and the link
// itself beside, for which the kernel takes its time. turn is held.
func (e *Engine) detachLink(l *life, link string) error {
	if err := network.Silence(l.held.netns, link); err != nil {
		return err
	}
	ns, err := wire.Duplicate(l.held.netns)
	if err != nil {
		return err
	}
	before, done := l.held.detaching, make(chan struct{})
	l.held.detaching = done
	e.goDo(func() {
		defer close(done)
		defer ns.Close()
		if before != nil {
			<-before
		}
		if err := network.Detach(ns, link); err != nil {
			e.log.Warn("a link without addresses is left in a container", "container", l.name(), "err", err)
		}
	})
	return nil
}
