package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/ipam"
)

// checkNetwork refuses what no host could do.
func checkNetwork(n spec.Network) error {
	if err := folder.CheckName(n.Name); err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot create network: %v", err)
	}
	driver := newBridge(networkRecord{Network: n}, leases{}).driver()
	switch driver {
	case spec.DriverBridge, spec.DriverMacvlan, spec.DriverIPvlan:
	default:
		return spec.Errorf(spec.ErrUnsupported, "cannot create network %s: driver %s is not built yet; use %s, %s or %s",
			n.Name, driver, spec.DriverBridge, spec.DriverMacvlan, spec.DriverIPvlan)
	}
	_, wrong := spec.ParseNetworkOptions(driver, n.Options)
	switch {
	case len(wrong) == 0:
		_, err := wantedConfigs(n)
		return err
	case wrong[0].Unknown:
		return spec.Errorf(spec.ErrInvalid, "cannot create network %s: %v; those of %s are %s",
			n.Name, wrong[0], driver, strings.Join(spec.KnownNetworkOptions(driver), ", "))
	}
	return spec.Errorf(spec.ErrInvalid, "cannot create network %s: %v", n.Name, wrong[0])
}

// wantedConfigs parses what a user wrote about addresses, IPv4 first; a family
// without a range is to be chosen.
func wantedConfigs(n spec.Network) ([]ipam.Config, error) {
	var out []ipam.Config
	var errs []error
	for _, p := range n.Pools {
		c, err := wantedConfig(p)
		errs = append(errs, err)
		for _, other := range out {
			if err == nil && other.Subnet.Overlaps(c.Subnet) {
				errs = append(errs, fmt.Errorf("subnets %s and %s overlap", other.Subnet, c.Subnet))
			}
		}
		if err == nil && c.Subnet.Addr().Is6() && !n.EnableIPv6 {
			errs = append(errs, fmt.Errorf("subnet %s needs IPv6, which is off", c.Subnet))
		}
		if err == nil && c.Subnet.Addr().Is4() && n.DisableIPv4 {
			errs = append(errs, fmt.Errorf("subnet %s needs IPv4, which is off", c.Subnet))
		}
		out = append(out, c)
	}
	if n.DisableIPv4 && !n.EnableIPv6 {
		errs = append(errs, errors.New("it would have neither IPv4 nor IPv6"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, spec.Errorf(spec.ErrInvalid, "cannot create network %s: %v", n.Name, err)
	}
	four, six := ipam.Split(out)
	return append(four, six...), nil
}

func wantedConfig(p spec.Pool) (ipam.Config, error) {
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
	address := func(word, what string) (a netip.Addr) {
		a, err := netip.ParseAddr(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %q is no address", what, word))
		}
		return a
	}
	c.Subnet, c.Range = prefix(p.Subnet, "subnet"), prefix(p.IPRange, "ip range")
	if p.Gateway != "" {
		c.Gateway = address(p.Gateway, "gateway")
	}
	for _, word := range p.Reserved {
		c.Reserved = append(c.Reserved, address(word, "reserved address"))
	}
	slices.SortFunc(c.Reserved, netip.Addr.Compare)
	if len(errs) == 0 && !c.Subnet.IsValid() {
		errs = append(errs, errors.New("a gateway, ip range or reserved address needs a subnet"))
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	return ipam.Resolve(c)
}

// pools are complete ranges for an answer; given has the names of what is
// reserved.
func pools(configs []ipam.Config, given []spec.Pool) []spec.Pool {
	var out []spec.Pool
	for _, c := range configs {
		p := spec.Pool{Subnet: c.Subnet.String(), Gateway: c.Gateway.String()}
		if c.Range.IsValid() {
			p.IPRange = c.Range.String()
		}
		for _, g := range given {
			if g.Subnet == p.Subnet {
				p.Reserved = g.Reserved
			}
		}
		out = append(out, p)
	}
	return out
}

// choose completes the ranges with free subnets, and refuses one that a network
// of ours has, or that would take a route of the host away. The host lock is
// held.
func (e *Engine) choose(b *bridge, configs []ipam.Config) ([]ipam.Config, error) {
	routed, err := e.host.Ranges()
	if err != nil {
		return nil, err
	}
	used := routed
	e.mu.Lock()
	for name, other := range e.networks {
		for _, theirs := range other.rec.Configs {
			used = append(used, theirs.Subnet)
			for _, c := range configs {
				if c.Subnet.Overlaps(theirs.Subnet) {
					e.mu.Unlock()
					return nil, spec.Errorf(spec.ErrInvalid, "subnet %s overlaps that of network %s, %s", c.Subnet, name, theirs.Subnet)
				}
			}
		}
	}
	e.mu.Unlock()
	for _, c := range configs {
		if p, ok := clash(c.Subnet, routed); ok && b.bridged() {
			return nil, spec.Errorf(spec.ErrInvalid, "subnet %s would take the host's route %s away; choose another one", c.Subnet, e.routeTo(p))
		}
	}
	four, six := ipam.Split(configs)
	if len(four) == 0 && !b.rec.Network.DisableIPv4 {
		if four, err = pick(e.cfg.Pools, used); err != nil {
			return nil, err
		}
	}
	if len(six) == 0 && b.rec.Network.EnableIPv6 {
		if six, err = pick([]ipam.Pool{ipam.UniqueLocal(e.drawn())}, used); err != nil {
			return nil, err
		}
	}
	return append(four, six...), nil
}

func pick(pools []ipam.Pool, used []netip.Prefix) ([]ipam.Config, error) {
	subnet, err := ipam.Subnet(pools, used)
	if err != nil {
		return nil, err
	}
	c, err := ipam.Resolve(ipam.Config{Subnet: subnet})
	return []ipam.Config{c}, err
}

// clash is the range of a route that leads into the subnet and would lose to it.
// A wider one goes on to lead to the rest of what it covers.
func clash(subnet netip.Prefix, routed []netip.Prefix) (netip.Prefix, bool) {
	for _, p := range routed {
		if p.Bits() >= subnet.Bits() && subnet.Contains(p.Addr()) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// routeTo is the host's route to a range, for a message: with its link, unless
// it has gone by now.
func (e *Engine) routeTo(p netip.Prefix) string {
	routes, _ := e.host.Routes()
	for _, r := range routes {
		if r.Prefix == p {
			return r.String()
		}
	}
	return p.String()
}

// drawn are the 40 bits of this state folder's IPv6 subnets. They are of the
// tag, which is of a hash, so that they stay when all networks are made anew.
func (e *Engine) drawn() [5]byte {
	out := [5]byte{'m'}
	binary.BigEndian.PutUint32(out[1:], e.linkGroup())
	return out
}

// linkGroup is the link group of our bridges.
func (e *Engine) linkGroup() uint32 {
	n, err := firewall.LinkGroup(e.place.Tag)
	if err != nil {
		return 0
	}
	return n
}

// parentGroup is the link group of the parents that we make, by which we know them
// after a kill. The rules name that of the bridges: a parent is a link to elsewhere.
func (e *Engine) parentGroup() uint32 {
	if n := e.linkGroup(); n != 0 {
		return n ^ 1
	}
	return 0
}

// nameLink chooses the name of the network's link on the host. The host lock is
// held.
func (e *Engine) nameLink(b *bridge) error {
	switch {
	case b.bridged() && b.options.BridgeName == "":
		b.rec.Bridge = network.LinkName(e.linkPrefix())
		return nil
	case b.bridged():
		b.rec.Bridge = b.options.BridgeName
		if other := e.networkOn(b.rec.Bridge); other != nil {
			return spec.Errorf(spec.ErrConflict, "network %s is on the host's network device %s already; choose another name",
				other.rec.Network.Name, b.rec.Bridge)
		}
		links, err := e.host.Links(b.rec.Bridge)
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Name == b.rec.Bridge && l.Group != e.linkGroup() {
				return spec.Errorf(spec.ErrConflict, "the host has a network device %s already, a %s; choose another name", l.Name, l.Kind)
			}
		}
		return nil
	}
	if err := network.CanMake(network.LinkKind(b.driver())); err != nil {
		return spec.Errorf(spec.ErrUnavailable, "cannot use driver %s: %v", b.driver(), err)
	}
	b.rec.Bridge = b.options.Parent
	if b.rec.Bridge == "" {
		b.rec.Bridge = network.LinkName(e.linkPrefix())
	}
	return nil
}

// networkOn is the network whose link on the host has this name, or nil.
func (e *Engine) networkOn(link string) *bridge {
	if b := e.builder.bridge(); b != nil && b.rec.Bridge == link {
		return b
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.networks {
		if b.rec.Bridge == link {
			return b
		}
	}
	return nil
}

// ensureLink makes the network's link on the host; it may be repeated.
func (e *Engine) ensureLink(b *bridge) error {
	if b.bridged() {
		return e.host.EnsureBridge(network.Bridge{
			Name: b.rec.Bridge, Addresses: b.gateways(), MTU: b.mtu(), Group: e.linkGroup(),
			Internal: b.rec.Network.Internal,
		})
	}
	made, err := e.host.EnsureParent(b.rec.Bridge, b.options.Parent == "", e.parentGroup())
	if err == nil && b.rec.Made && !made { // an earlier build had it in the bridges' group
		err = e.host.SetGroup(b.rec.Bridge, e.parentGroup())
	}
	if err != nil {
		sentinel := spec.ErrInvalid
		if errors.Is(err, network.ErrNoModule) || errors.Is(err, unix.EPERM) {
			sentinel = spec.ErrUnavailable
		}
		return spec.Errorf(sentinel, "cannot use parent of network %s: %v", b.rec.Network.Name, err)
	}
	b.rec.Made = b.rec.Made || made
	return nil
}
