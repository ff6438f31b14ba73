package ipam

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Request asks for the address of one key (a replica, by a name that stays the
// same over recreate) in a network.
type Request struct {
	// Key is who asks; not empty.
	Key string
	// Static is the address that the user wrote, or zero.
	Static netip.Addr
	// Held are the addresses that keys hold now, also those of stopped
	// containers. It is not changed.
	Held map[string]netip.Addr
	// Recent are addresses released in the last seconds; they are used only
	// when no other is free.
	Recent []netip.Addr
	// Last is the address handed out last in this network, or zero.
	Last netip.Addr
}

// TakenError says that a static address belongs to another key.
type TakenError struct {
	Addr   netip.Addr
	Holder string
}

func (e *TakenError) Error() string { return "it is held by " + e.Holder }

// Next is the address for a request in a network whose Config came from
// Resolve. A key without Static that holds an address keeps it.
func Next(c Config, r Request) (netip.Addr, error) {
	if r.Static.IsValid() {
		if err := checkStatic(c, r); err != nil {
			return netip.Addr{}, fmt.Errorf("cannot give %s the address %s: %w", r.Key, r.Static, err)
		}
		return r.Static, nil
	}
	if a, ok := r.Held[r.Key]; ok && checkHost(c.Subnet, a) == nil && a != c.Gateway {
		return a, nil
	}
	busy := make(map[netip.Addr]bool, len(r.Held)+len(c.Reserved)+3)
	for _, a := range r.Held {
		busy[a] = true
	}
	for _, a := range c.Reserved {
		busy[a] = true
	}
	// In IPv6 the last address is one like any other; nobody misses it.
	busy[c.Gateway], busy[c.Subnet.Addr()], busy[last(c.Subnet)] = true, true, true

	within := c.Subnet
	if c.Range.IsValid() {
		within = c.Range
	}
	resting := make(map[netip.Addr]bool, len(r.Recent))
	for _, a := range r.Recent {
		resting[a] = true
	}
	free := func(a netip.Addr) bool { return !busy[a] && !resting[a] }
	if a, ok := upwards(within, r.Last, free); ok {
		return a, nil
	}
	// Released addresses, the longest at rest first.
	for _, a := range r.Recent {
		if within.Contains(a) && !busy[a] {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("cannot give %s an address: all of %s are in use: %w", r.Key, within, ErrExhausted)
}

// NextOf is Next in the first range that can: the one that has the static
// address, that the key holds an address of, or that has a free one. configs are
// those of one address family; none gives the zero address.
func NextOf(configs []Config, r Request) (netip.Addr, error) {
	if len(configs) == 0 {
		return netip.Addr{}, nil
	}
	held := r.Held[r.Key]
	for _, c := range configs {
		if r.Static.IsValid() && c.Subnet.Contains(r.Static) || !r.Static.IsValid() && held.IsValid() && c.Subnet.Contains(held) {
			return Next(c, r)
		}
	}
	var err error
	for _, c := range configs {
		var a netip.Addr
		if a, err = Next(c, r); !errors.Is(err, ErrExhausted) {
			return a, err
		}
	}
	return netip.Addr{}, err
}

// Split parts ranges by address family, in their order.
func Split(configs []Config) (four, six []Config) {
	for _, c := range configs {
		if c.Subnet.Addr().Is6() {
			six = append(six, c)
		} else {
			four = append(four, c)
		}
	}
	return four, six
}

// upwards finds the first free address behind from, wrapping around once.
func upwards(within netip.Prefix, from netip.Addr, free func(netip.Addr) bool) (netip.Addr, bool) {
	end := last(within)
	if !from.IsValid() || !within.Contains(from) {
		from = end
	}
	for a := from; ; {
		if a == end {
			a = within.Addr()
		} else {
			a = a.Next()
		}
		if free(a) {
			return a, true
		}
		if a == from {
			return netip.Addr{}, false
		}
	}
}

func checkStatic(c Config, r Request) error {
	if err := checkHost(c.Subnet, r.Static); err != nil {
		return err
	}
	if r.Static == c.Gateway {
		return errors.New("it is the gateway of the network")
	}
	for key, a := range r.Held {
		if a == r.Static && key != r.Key {
			return &TakenError{Addr: a, Holder: key}
		}
	}
	return nil
}

// MAC is the hardware address that goes with an address: locally administered,
// and the same for the same address, so that a neighbour's stale entry is never
// wrong. That of an IPv6 address is folded of its four words, so that addresses
// which differ in one of them have different ones. It is nil for the zero Addr.
func MAC(a netip.Addr) net.HardwareAddr {
	if !a.IsValid() {
		return nil
	}
	var b [4]byte
	for i, one := range a.AsSlice() {
		b[i%4] ^= one
	}
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}
