package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/ipam"
)

// bridge is one network. Those of macvlan and ipvlan have a parent for a bridge.
type bridge struct {
	rec     networkRecord // never changes, nor do options
	options spec.NetworkOptions
	// newer says that only a newer mycompose may change it; see newer.go.
	newer error

	mu     sync.Mutex // guards what follows
	leases leases
	recent map[netip.Addr]time.Time // released lately

	writes gather // of leases
}

// linkPrefix begins the names of all our links; LinkName adds five characters.
func (e *Engine) linkPrefix() string { return "mc" + e.place.Tag }

func newBridge(rec networkRecord, held leases) *bridge {
	b := &bridge{rec: rec, leases: held, recent: map[netip.Addr]time.Time{}}
	if b.leases.Held == nil {
		b.leases.Held = map[string]netip.Addr{}
	}
	if b.leases.Held6 == nil {
		b.leases.Held6 = map[string]netip.Addr{}
	}
	// Mistakes were found before the record was written.
	b.options, _ = spec.ParseNetworkOptions(b.driver(), rec.Network.Options)
	return b
}

// driver is the network's, with its default.
func (b *bridge) driver() string { return cmp.Or(b.rec.Network.Driver, spec.DriverBridge) }

// bridged reports whether it stands on a bridge of the host.
func (b *bridge) bridged() bool { return b.driver() == spec.DriverBridge }

// mtu in bytes, 0 for the kernel's.
func (b *bridge) mtu() int { return cmp.Or(b.options.MTU, b.rec.Network.MTU) }

// gateways are the addresses of the host's side, one for each range.
func (b *bridge) gateways() []netip.Prefix {
	var out []netip.Prefix
	for _, c := range b.rec.Configs {
		out = append(out, netip.PrefixFrom(c.Gateway, c.Subnet.Bits()))
	}
	return out
}

// config is the range that an address lies in.
func (b *bridge) config(a netip.Addr) ipam.Config {
	for _, c := range b.rec.Configs {
		if c.Subnet.Contains(a) {
			return c
		}
	}
	return ipam.Config{}
}

// wanted are the firewall's elements for the network.
func (b *bridge) wanted() []firewall.Network {
	var out []firewall.Network
	for _, c := range b.rec.Configs {
		if b.bridged() {
			out = append(out, firewall.Network{
				Bridge: b.rec.Bridge, Subnet: c.Subnet, Internal: b.rec.Network.Internal,
				NoICC: b.options.NoICC, NoMasquerade: b.options.NoMasquerade,
			})
		}
	}
	return out
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
	n.Pools = pools(b.rec.Configs, n.Pools)
	n.CreatedAt = b.rec.CreatedAt
	n.ID = b.id()
	return n
}

// CreateNetwork makes a network with its bridge; an equal one is success.
func (e *Engine) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	n.CreatedAt, n.Containers, n.ID = time.Time{}, nil, ""
	if err := checkNetwork(n); err != nil {
		return spec.Network{}, err
	}
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	if b := e.bridge(n.Name); b != nil {
		if !sameJSON(b.rec.Network, n) {
			if b.newer != nil {
				return spec.Network{}, fmt.Errorf("cannot change network %s: %w", n.Name, b.newer)
			}
			return spec.Network{}, spec.Errorf(spec.ErrConflict, "network %s exists with other settings", n.Name)
		}
		return b.network(), nil
	}
	if err := e.store.Refused(store.Network, n.Name); err != nil {
		return spec.Network{}, fmt.Errorf("cannot create network %s: %w", n.Name, err)
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

// makeNetwork chooses subnets and makes the bridge and its rules.
// networkTurn is held.
func (e *Engine) makeNetwork(n spec.Network) (_ *bridge, err error) {
	configs, err := wantedConfigs(n)
	if err != nil {
		return nil, err
	}
	e.bridges.wait()
	b := newBridge(networkRecord{Network: n, CreatedAt: time.Now()}, leases{})
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if b.rec.Configs, err = e.choose(b, configs); err != nil {
		return nil, err
	}
	if err := e.nameLink(b); err != nil {
		return nil, err
	}
	err = lock.Forward(e.host, e.place.Tag)
	if err == nil && n.EnableIPv6 {
		err = lock.Forward6(e.host, e.place.Tag)
	}
	if err == nil {
		err = e.standUp(b)
	}
	if err != nil {
		return nil, errors.Join(err, e.shut(b), e.releaseUnused(lock, b.rec.Bridge), e.dropLink(b))
	}
	return b, nil
}

// standUp makes the bridge and its rules; it may be repeated.
func (e *Engine) standUp(b *bridge) error {
	err := e.ensureLink(b)
	if wanted := b.wanted(); err == nil && len(wanted) > 0 {
		err = e.widenShield(wanted)
	}
	if err != nil {
		return err
	}
	return e.rules.change(firewall.State{Networks: b.wanted()}, firewall.State{})
}

// shut takes a network's rules out.
func (e *Engine) shut(b *bridge) error {
	err := e.narrowShield(b)
	return errors.Join(err, e.rules.change(firewall.State{}, firewall.State{Networks: b.wanted()}))
}

// dropLink removes what ensureLink has made. Bridges go beside: it comes last,
// since the kernel's lock of all links is held for most of a removal.
func (e *Engine) dropLink(b *bridge) error {
	switch {
	case b.bridged():
		e.bridges.add(b.rec.Bridge)
	case b.rec.Made:
		return e.host.DeleteLinks(b.rec.Bridge)
	}
	return nil
}

// unmakeNetwork is the inverse of makeNetwork.
func (e *Engine) unmakeNetwork(b *bridge) error {
	err := e.shut(b)
	if e.lastNetwork() || b.rec.Network.EnableIPv6 {
		err = errors.Join(err, e.releaseForwarding(b.rec.Bridge))
	}
	return errors.Join(err, e.dropLink(b))
}

// lastNetwork reports that there is no network that needs forwarding.
func (e *Engine) lastNetwork() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.networks) == 0 && !e.newerStands && e.builder.bridge() == nil
}

// lastIPv6 reports that there is no network that needs IPv6 forwarding.
func (e *Engine) lastIPv6() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.networks {
		if b.rec.Network.EnableIPv6 {
			return false
		}
	}
	return true
}

// releaseForwarding gives back the host's settings that no network needs. going
// are bridges that are about to go.
func (e *Engine) releaseForwarding(going ...string) error {
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return err
	}
	return errors.Join(e.releaseUnused(lock, going...), lock.Unlock())
}

func (e *Engine) releaseUnused(lock *network.HostLock, going ...string) error {
	var errs []error
	if e.lastNetwork() {
		errs = append(errs, lock.Release(e.host, e.place.Tag, going...))
	}
	if e.lastIPv6() {
		errs = append(errs, lock.Release6(e.host, e.place.Tag, going...))
	}
	return errors.Join(errs...)
}

// id is 64 hex digits that stay while the network stands.
func (b *bridge) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", b.rec.Network.Name, b.rec.CreatedAt.UnixNano()))
	return hex.EncodeToString(sum[:])
}

// RemoveNetwork removes a network and its bridge; a missing one is success.
func (e *Engine) RemoveNetwork(_ context.Context, name string) error {
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	if err := e.store.Refused(store.Network, name); err != nil {
		return fmt.Errorf("cannot remove network %s: %w", name, err)
	}
	b := e.bridge(name)
	if b == nil {
		return nil
	}
	for _, id := range e.attached()[name] {
		if l, err := e.life(id); err == nil {
			return spec.Errorf(spec.ErrInUse, "cannot remove network %s: container %s is on it", name, l.name())
		}
	}
	if err := e.dropPassed(func(p *passed) bool { return slices.Contains(p.networks, name) }); err != nil {
		return err
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
