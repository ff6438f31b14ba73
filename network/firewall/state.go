package firewall

import (
	"errors"
	"fmt"
	"net/netip"
)

// State is what the table shall hold.
type State struct {
	Networks []Network
	Ports    []Port
	Guests   []Guest
	// Strangers are bridges of other engines: our containers reach there what is
	// published, as from elsewhere, and nothing else.
	Strangers []string
}

// Guest is a container that may reach what listens on the host's 127.0.0.1
// alone, by any address that the host has on its bridge.
type Guest struct {
	// Bridge is the container's, Addr its address there, IPv4.
	Bridge string
	Addr   netip.Addr
}

// Network is a bridge of ours.
type Network struct {
	// Bridge is its link's name, at most 15 bytes.
	Bridge string
	// Subnet is one of its ranges; a bridge with several is here several times.
	Subnet netip.Prefix
	// Internal networks have no way out and none in.
	Internal bool
	// NoICC keeps its containers from each other. Their links must be isolated
	// ports of the bridge; here falls the way by the gateway.
	NoICC bool
	// NoMasquerade lets packets out with the container's own address.
	NoMasquerade bool
}

// Port is a published port.
type Port struct {
	Protocol Protocol
	// Host is the address of the host that it is published on; zero or
	// 0.0.0.0 means all of them, 127.0.0.1 included; those of the target's
	// address family. Never ::1.
	Host netip.Addr
	// HostPort is 1 to 65535.
	HostPort uint16
	// Target is the container's address, on a network that is not internal,
	// and its port.
	Target netip.AddrPort
}

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that can be published.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// everywhere says whether p is published on all addresses.
func (p Port) everywhere() bool { return !p.Host.IsValid() || p.Host.IsUnspecified() }

func (p Port) String() string {
	host := "0.0.0.0"
	if !p.everywhere() {
		host = p.Host.String()
	}
	return fmt.Sprintf("%s:%d/%s", host, p.HostPort, p.Protocol)
}

func (p Port) check() error {
	var err error
	switch {
	case p.Protocol != TCP && p.Protocol != UDP:
		err = fmt.Errorf("%s cannot be published, only tcp and udp", p.Protocol)
	case p.HostPort == 0:
		err = errors.New("the host port is 0")
	default:
		err = p.checkFamilies()
	}
	if err != nil {
		return fmt.Errorf("cannot publish port %s: %w", p, err)
	}
	return nil
}

func (n Network) check() error {
	if n.Bridge == "" || len(n.Bridge) > 15 {
		return fmt.Errorf("cannot write rules for bridge %q: a link name has 1 to 15 bytes", n.Bridge)
	}
	if !n.Subnet.IsValid() || n.Subnet.Addr().Is4In6() || n.Subnet != n.Subnet.Masked() {
		return fmt.Errorf("cannot write rules for bridge %s: %s is not a subnet", n.Bridge, n.Subnet)
	}
	return nil
}

// check finds what cannot be written: also two targets for one host port.
func (s State) check() error {
	for _, n := range s.Networks {
		if err := n.check(); err != nil {
			return err
		}
	}
	for _, l := range s.Strangers {
		if l == "" || len(l) > 15 {
			return fmt.Errorf("cannot write rules for bridge %q: a link name has 1 to 15 bytes", l)
		}
	}
	for _, g := range s.Guests {
		if g.Bridge == "" || len(g.Bridge) > 15 || !g.Addr.Is4() {
			return fmt.Errorf("cannot let %s on bridge %q to the host's loopback", g.Addr, g.Bridge)
		}
	}
	seen := make(map[Port]netip.AddrPort, len(s.Ports))
	for _, p := range s.Ports {
		if err := p.check(); err != nil {
			return err
		}
		key := Port{Protocol: p.Protocol, HostPort: p.HostPort, Target: p.key6()}
		if !p.everywhere() {
			key.Host = p.Host
		}
		if t, ok := seen[key]; ok && t != p.Target {
			return fmt.Errorf("cannot publish port %s: it would lead to %s and to %s", p, t, p.Target)
		}
		seen[key] = p.Target
	}
	return nil
}
