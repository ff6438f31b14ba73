package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/ipam"
)

// bridge is one network.
type bridge struct {
	rec networkRecord // never changes

	mu     sync.Mutex // guards what follows
	leases leases
	recent map[netip.Addr]time.Time // released lately

	writes gather // of leases
}

// linkPrefix begins the names of all our links; LinkName adds five characters.
func (e *Engine) linkPrefix() string { return "mc" + e.place.Tag }

func (b *bridge) wanted() firewall.Network {
	return firewall.Network{Bridge: b.rec.Bridge, Subnet: b.rec.Config.Subnet, Internal: b.rec.Network.Internal}
}

// Networks lists all networks, sorted by name.
func (e *Engine) Networks(context.Context) ([]spec.Network, error) {
	e.mu.Lock()
	all := make([]*bridge, 0, len(e.networks))
	for _, b := range e.networks {
		all = append(all, b)
	}
	e.mu.Unlock()
	attached := e.attached()
	out := make([]spec.Network, 0, len(all))
	for _, b := range all {
		n := b.network()
		n.Containers = attached[n.Name]
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b spec.Network) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// attached lists the containers that have a place, by network.
func (e *Engine) attached() map[string][]string {
	out := map[string][]string{}
	for _, l := range e.all() {
		c, _, _ := l.look()
		if !c.Held {
			continue
		}
		for _, p := range c.Places {
			out[p.Network] = append(out[p.Network], l.id)
		}
	}
	return out
}

// network is the answer about b.
func (b *bridge) network() spec.Network {
	n := b.rec.Network
	n.Subnet = b.rec.Config.Subnet.String()
	n.Gateway = b.rec.Config.Gateway.String()
	n.CreatedAt = b.rec.CreatedAt
	return n
}

// CreateNetwork makes a network with its bridge; an equal one is success.
func (e *Engine) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	n.CreatedAt, n.Containers = time.Time{}, nil
	if err := checkNetwork(n); err != nil {
		return spec.Network{}, err
	}
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	if b := e.bridge(n.Name); b != nil {
		if !sameJSON(b.rec.Network, n) {
			return spec.Network{}, spec.Errorf(spec.ErrConflict, "network %s exists with other settings", n.Name)
		}
		return b.network(), nil
	}
	b, err := e.makeNetwork(n)
	if err != nil {
		return spec.Network{}, fmt.Errorf("cannot create network %s: %w", n.Name, err)
	}
	if err := e.store.Put(store.Network, n.Name, b.rec, store.Cached); err != nil {
		return spec.Network{}, errors.Join(err, e.unmakeNetwork(b))
	}
	e.mu.Lock()
	e.networks[n.Name] = b
	e.mu.Unlock()
	return b.network(), nil
}

func (e *Engine) bridge(name string) *bridge {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.networks[name]
}

func checkNetwork(n spec.Network) error {
	if err := folder.CheckName(n.Name); err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot create network: %v", err)
	}
	if n.Driver != "" && n.Driver != "bridge" {
		return spec.Errorf(spec.ErrUnsupported, "cannot create network %s: driver %s is not built yet", n.Name, n.Driver)
	}
	for option := range n.Options {
		return spec.Errorf(spec.ErrUnsupported, "cannot create network %s: option %s is not built yet", n.Name, option)
	}
	_, err := wantedConfig(n)
	return err
}

// wantedConfig parses what a user wrote about addresses; the Subnet is zero if
// one is to be chosen.
func wantedConfig(n spec.Network) (ipam.Config, error) {
	var c ipam.Config
	var errs []error
	prefix := func(word, what string) (p netip.Prefix) {
		if word == "" {
			return p
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %q is no address range", what, word))
		}
		return p
	}
	c.Subnet, c.Range = prefix(n.Subnet, "subnet"), prefix(n.IPRange, "ip range")
	if n.Gateway != "" {
		var err error
		if c.Gateway, err = netip.ParseAddr(n.Gateway); err != nil {
			errs = append(errs, fmt.Errorf("gateway %q is no address", n.Gateway))
		}
	}
	if len(errs) == 0 && !c.Subnet.IsValid() && (c.Gateway.IsValid() || c.Range.IsValid()) {
		errs = append(errs, errors.New("a gateway or ip range needs a subnet"))
	}
	if len(errs) == 0 && c.Subnet.IsValid() {
		var err error
		if c, err = ipam.Resolve(c); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return c, spec.Errorf(spec.ErrInvalid, "cannot create network %s: %v", n.Name, err)
	}
	return c, nil
}

// makeNetwork chooses a subnet and makes the bridge and its rules.
// networkTurn is held.
func (e *Engine) makeNetwork(n spec.Network) (_ *bridge, err error) {
	config, err := wantedConfig(n)
	if err != nil {
		return nil, err
	}
	e.bridges.wait()
	b := &bridge{
		rec:    networkRecord{Network: n, Bridge: network.LinkName(e.linkPrefix()), CreatedAt: time.Now()},
		leases: leases{Held: map[string]netip.Addr{}}, recent: map[netip.Addr]time.Time{},
	}
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if b.rec.Config, err = e.choose(config); err != nil {
		return nil, err
	}
	if err := lock.Forward(e.host, e.place.Tag); err != nil {
		return nil, err
	}
	if err := e.standUp(b); err != nil {
		err = errors.Join(err, e.takeDown(b))
		if e.lastNetwork() {
			err = errors.Join(err, lock.Release(e.host, e.place.Tag))
		}
		return nil, err
	}
	return b, nil
}

// choose completes the configuration with a free subnet, and refuses one that
// a network of ours has. The host lock is held.
func (e *Engine) choose(c ipam.Config) (ipam.Config, error) {
	var used []netip.Prefix
	e.mu.Lock()
	for name, b := range e.networks {
		if c.Subnet.IsValid() && c.Subnet.Overlaps(b.rec.Config.Subnet) {
			e.mu.Unlock()
			return c, spec.Errorf(spec.ErrInvalid, "subnet %s overlaps that of network %s, %s", c.Subnet, name, b.rec.Config.Subnet)
		}
		used = append(used, b.rec.Config.Subnet)
	}
	e.mu.Unlock()
	if c.Subnet.IsValid() {
		return c, nil
	}
	routed, err := e.host.Prefixes()
	if err != nil {
		return c, err
	}
	if c.Subnet, err = ipam.Subnet(e.cfg.Pools, append(used, routed...)); err != nil {
		return c, err
	}
	return ipam.Resolve(c)
}

// standUp makes the bridge and its rules; it may be repeated.
func (e *Engine) standUp(b *bridge) error {
	gateway := netip.PrefixFrom(b.rec.Config.Gateway, b.rec.Config.Subnet.Bits())
	err := e.host.EnsureBridge(network.Bridge{
		Name: b.rec.Bridge, Address: gateway, MTU: b.rec.Network.MTU, Internal: b.rec.Network.Internal,
	})
	if err == nil {
		err = e.guard(b)
	}
	if err != nil {
		return err
	}
	return e.rules.change(firewall.State{Networks: []firewall.Network{b.wanted()}}, firewall.State{})
}

// guard keeps the subnets of all networks, and of those that are being made,
// shut for packets that the firewall's table has not seen. networkTurn is held.
func (e *Engine) guard(more ...*bridge) error {
	var subnets []netip.Prefix
	e.mu.Lock()
	for _, b := range e.networks {
		subnets = append(subnets, b.rec.Config.Subnet)
	}
	e.mu.Unlock()
	if b := e.builder.bridge(); b != nil {
		more = append(more, b)
	}
	for _, b := range more {
		subnets = append(subnets, b.rec.Config.Subnet)
	}
	return e.host.Guard(e.place.Tag, subnets)
}

// takeDown is the inverse of standUp.
func (e *Engine) takeDown(b *bridge) error {
	err := e.guard()
	err = errors.Join(err, e.rules.change(firewall.State{}, firewall.State{Networks: []firewall.Network{b.wanted()}}))
	e.bridges.add(b.rec.Bridge)
	return err
}

// unmakeNetwork is the inverse of makeNetwork.
func (e *Engine) unmakeNetwork(b *bridge) error {
	err := e.takeDown(b)
	if e.lastNetwork() {
		err = errors.Join(err, e.releaseForwarding())
	}
	return err
}

// lastNetwork reports that there is no network that needs forwarding.
func (e *Engine) lastNetwork() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.networks) == 0 && e.builder.bridge() == nil
}

// releaseForwarding gives back the host's setting if nobody else needs it.
func (e *Engine) releaseForwarding() error {
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return err
	}
	return errors.Join(lock.Release(e.host, e.place.Tag), lock.Unlock())
}

// RemoveNetwork removes a network and its bridge; a missing one is success.
func (e *Engine) RemoveNetwork(_ context.Context, name string) error {
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	b := e.bridge(name)
	if b == nil {
		return nil
	}
	for _, id := range e.attached()[name] {
		if l, err := e.life(id); err == nil {
			return spec.Errorf(spec.ErrInUse, "cannot remove network %s: container %s is on it", name, l.name())
		}
	}
	if err := e.store.Delete(leasesKind(), name); err != nil {
		return err
	}
	if err := e.store.Delete(store.Network, name); err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.networks, name)
	e.mu.Unlock()
	if err := e.unmakeNetwork(b); err != nil {
		return fmt.Errorf("cannot remove network %s: %w", name, err)
	}
	return nil
}
