package engine

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network/ipam"
)

// restOfAddress is how long a released address is handed out last: its dying
// namespace still answers ARP for some tens of milliseconds.
const restOfAddress = 5 * time.Second

// lease gives the container its addresses on the network; that of a family which
// the network lacks is zero. turn is held.
func (e *Engine) lease(l *life, b *bridge, a spec.Attachment) (four, six netip.Addr, err error) {
	static4, err := staticAddress(a, a.IPv4Address, true)
	if err != nil {
		return four, six, err
	}
	static6, err := staticAddress(a, a.IPv6Address, false)
	if err != nil {
		return four, six, err
	}
	configs4, configs6 := ipam.Split(b.rec.Configs)
	if static6.IsValid() && len(configs6) == 0 {
		return four, six, spec.Errorf(spec.ErrInvalid, "cannot use address %s on network %s: it has no IPv6", static6, a.Network)
	}
	if static4.IsValid() && len(configs4) == 0 {
		return four, six, spec.Errorf(spec.ErrInvalid, "cannot use address %s on network %s: it has no IPv4", static4, a.Network)
	}
	four, six, fresh, err := b.take(e.leaseKey(l, a), static4, static6)
	if err != nil {
		return four, six, fmt.Errorf("cannot give %s an address on network %s: %w", l.name(), a.Network, err)
	}
	if !fresh {
		return four, six, nil
	}
	return four, six, e.storeLeases(b)
}

// take leases addresses for key: those that it has, static ones, or the next.
func (b *bridge) take(key string, static4, static6 netip.Addr) (four, six netip.Addr, fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recent := b.resting()
	configs4, configs6 := ipam.Split(b.rec.Configs)
	held := &b.leases
	four, err = ipam.NextOf(configs4, ipam.Request{Key: key, Static: static4, Held: held.Held, Recent: recent, Last: held.Last})
	if err == nil {
		six, err = ipam.NextOf(configs6, ipam.Request{Key: key, Static: static6, Held: held.Held6, Recent: recent, Last: held.Last6})
	}
	if err != nil || held.Held[key] == four && held.Held6[key] == six {
		return four, six, false, err
	}
	if four.IsValid() {
		held.Held[key] = four
		if !static4.IsValid() {
			held.Last = four
		}
	}
	if six.IsValid() {
		held.Held6[key] = six
		if !static6.IsValid() {
			held.Last6 = six
		}
	}
	return four, six, true, nil
}

// storeLeases writes a network's leases. They are one object: what many ask for
// at a time is one write.
func (e *Engine) storeLeases(b *bridge) error {
	return b.writes.do(b.rec.Network.Name, func([]string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		return e.store.Put(leasesKind(), b.rec.Network.Name, b.leases, store.Cached)
	})
}

// staticAddress parses what the attachment asks for, in one family.
func staticAddress(a spec.Attachment, word string, four bool) (netip.Addr, error) {
	if word == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(word)
	if err != nil || addr.Is4() != four || addr.Is4In6() {
		family := "IPv6"
		if four {
			family = "IPv4"
		}
		return addr, spec.Errorf(spec.ErrInvalid, "cannot use address %q on network %s: it is no %s address", word, a.Network, family)
	}
	return addr, nil
}

// leased reports whether somebody holds an address.
func (b *bridge) leased(a netip.Addr) bool {
	return slices.Contains(slices.Collect(maps.Values(b.leases.Held)), a) || slices.Contains(slices.Collect(maps.Values(b.leases.Held6)), a)
}

// resting are the addresses released lately, the longest at rest first. mu is
// held.
func (b *bridge) resting() []netip.Addr {
	for addr, when := range b.recent {
		if time.Since(when) > restOfAddress {
			delete(b.recent, addr)
		}
	}
	return slices.SortedFunc(maps.Keys(b.recent), func(x, y netip.Addr) int { return b.recent[x].Compare(b.recent[y]) })
}

// leaseKey is the attachment's key, or the container's id if another container
// that is up has it.
func (e *Engine) leaseKey(l *life, a spec.Attachment) string {
	if a.LeaseKey == "" || len(e.leaseSharers(l, a, true)) > 0 {
		return l.id
	}
	return a.LeaseKey
}

// leaseSharers are the other containers with the same lease key on a network;
// up leaves out those that hold nothing.
func (e *Engine) leaseSharers(l *life, a spec.Attachment, up bool) (sharers []*life) {
	for _, other := range e.sharers(l, addressKey(a.Network, a.LeaseKey)) {
		if c, _, _ := other.look(); !up || c.Held {
			sharers = append(sharers, other)
		}
	}
	return sharers
}

// unlease ends the leases of a container that is being removed; keep spares
// those that its replica's next container takes over. turn is held.
func (e *Engine) unlease(l *life, keep bool) error {
	for _, a := range l.attachments() {
		b := e.bridge(a.Network)
		if b == nil {
			continue
		}
		keys := []string{l.id}
		if a.LeaseKey != "" && !keep && len(e.leaseSharers(l, a, false)) == 0 {
			keys = append(keys, a.LeaseKey)
		}
		if err := e.endLeases(b, keys); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) endLeases(b *bridge, keys []string) error {
	if !b.giveUp(keys) {
		return nil
	}
	return e.storeLeases(b)
}

// giveUp takes the addresses of keys back and reports whether there was one.
func (b *bridge) giveUp(keys []string) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, held := range []map[string]netip.Addr{b.leases.Held, b.leases.Held6} {
		for _, key := range keys {
			if addr, ok := held[key]; ok {
				delete(held, key)
				b.recent[addr] = time.Now()
				changed = true
			}
		}
	}
	return changed
}

// hardwareAddress is the attachment's own, or the one that goes with addr.
func hardwareAddress(a spec.Attachment, addr netip.Addr) (net.HardwareAddr, error) {
	if a.MACAddress == "" {
		return ipam.MAC(addr), nil
	}
	mac, err := net.ParseMAC(a.MACAddress)
	if err != nil || len(mac) != 6 {
		return nil, spec.Errorf(spec.ErrInvalid, "cannot use hardware address %q on network %s: want six bytes such as 02:42:ac:11:00:02", a.MACAddress, a.Network)
	}
	return mac, nil
}
