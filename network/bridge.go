package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mycompose/mycompose/network/ipam"
	"golang.org/x/sys/unix"
)

// Bridge is the host's side of one network.
type Bridge struct {
	// Name of the link, at most 15 bytes, see LinkName.
	Name string
	// Addresses are the gateways with the lengths of their subnets, for
	// example 10.128.0.1/24. An internal network has them
	// too: the host reaches its containers, and only they have no route out.
	Addresses []netip.Prefix
	// Group is the link group that says whose bridge it is; 0 leaves it as it is.
	Group uint32
	// Internal: the kernel forwards nothing that comes from it, whatever the
	// firewall's table says.
	Internal bool
	// MTU in bytes; 0 is the kernel's 1500.
	MTU int
}

// EnsureBridge makes the bridge stand as described, up, with its addresses, and
// with route_localnet, so that a port published on the host's 127.0.0.1 works by
// address translation (the rules keep 127/8 from everywhere else off). A bridge
// that stands already gets what it lacks.
func (h *Host) EnsureBridge(b Bridge) error {
	if err := h.ensureBridge(b); err != nil {
		return fmt.Errorf("cannot make bridge %s: %w", b.Name, err)
	}
	return nil
}

func (h *Host) ensureBridge(b Bridge) error {
	if err := checkLinkName(b.Name); err != nil {
		return err
	}
	if err := checkAddresses(b.Addresses); err != nil {
		return err
	}
	made := true
	err := h.sock.batch(newBridge(b, ipam.MAC(b.Addresses[0].Addr())))
	if isErrno(err, unix.EEXIST) {
		made, err = false, nil
	}
	if err != nil {
		return err
	}
	err = h.furnishBridge(b)
	if err != nil && made {
		_ = h.DeleteLinks(b.Name)
	}
	return err
}

func (h *Host) furnishBridge(b Bridge) error {
	l, err := h.link(b.Name)
	if err != nil {
		return err
	}
	if l.Kind != "bridge" {
		return fmt.Errorf("a link of this name stands already and is a %s", l.Kind)
	}
	forwarding := "1"
	if b.Internal {
		forwarding = "0"
	}
	six := slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
	disable := "1"
	if six {
		disable = "0"
	}
	err = h.inside(func() error {
		for _, s := range []sysctl{
			{"ipv4/conf/" + b.Name + "/forwarding", forwarding, false},
			{"ipv4/conf/" + b.Name + "/route_localnet", "1", false},
			{"ipv6/conf/" + b.Name + "/accept_ra", "0", true},
			{"ipv6/conf/" + b.Name + "/accept_dad", "0", true},
			{"ipv6/conf/" + b.Name + "/disable_ipv6", disable, !six},
		} {
			if err := s.write(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var msgs []message
	if b.Group != 0 && l.Group != b.Group {
		msgs = append(msgs, linkGroup(l.Index, b.Group))
	}
	msgs = append(msgs, linkUp(l.Index))
	for _, a := range b.Addresses {
		msgs = append(msgs, newAddress(l.Index, a))
	}
	return h.sock.batch(msgs...)
}

// RemoveBridges deletes bridges and what is still plugged into them, all in
// one message. It returns when they are gone, which takes one RCU grace period
// (20–40 ms) however many they are. Missing ones are no error.
func (h *Host) RemoveBridges(names ...string) error {
	if len(names) == 0 {
		return nil
	}
	links, err := h.Links("")
	if err != nil {
		return fmt.Errorf("cannot remove bridges: %w", err)
	}
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	masters := map[int]bool{}
	for _, l := range links {
		if wanted[l.Name] {
			masters[l.Index] = true
		}
	}
	var doomed []Link
	for _, l := range links {
		if masters[l.Index] || masters[l.Master] && l.Kind == "veth" {
			doomed = append(doomed, l)
		}
	}
	if err := h.delete(doomed); err != nil {
		return fmt.Errorf("cannot remove bridges: %w", err)
	}
	return nil
}
