package engine

import (
	"fmt"
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

// lease gives the container an address on the network. turn is held.
func (e *Engine) lease(l *life, b *bridge, a spec.Attachment) (netip.Addr, error) {
	var static netip.Addr
	if a.IPv4Address != "" {
		var err error
		if static, err = netip.ParseAddr(a.IPv4Address); err != nil {
			return static, spec.Errorf(spec.ErrInvalid, "cannot use address %q on network %s: it is no IPv4 address", a.IPv4Address, a.Network)
		}
	}
	key := e.leaseKey(l, a)
	b.mu.Lock()
	defer b.mu.Unlock()
	for addr, when := range b.recent {
		if time.Since(when) > restOfAddress {
			delete(b.recent, addr)
		}
	}
	recent := make([]netip.Addr, 0, len(b.recent))
	for addr := range b.recent {
		recent = append(recent, addr)
	}
	slices.SortFunc(recent, netip.Addr.Compare)
	addr, err := ipam.Next(b.rec.Config, ipam.Request{
		Key: key, Static: static, Held: b.leases.Held, Recent: recent, Last: b.leases.Last})
	if err != nil {
		return addr, fmt.Errorf("cannot give %s an address on network %s: %w", l.name(), a.Network, err)
	}
	if b.leases.Held[key] == addr {
		return addr, nil
	}
	b.leases.Held[key] = addr
	if !static.IsValid() {
		b.leases.Last = addr
	}
	return addr, e.store.Put(leasesKind(), a.Network, b.leases, store.Cached)
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
	for _, a := range l.rec.Blueprint.Networks {
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
	// All leases of a network are one object: many ends are one write.
	return b.writes.do(b.rec.Network.Name, func([]string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		return e.store.Put(leasesKind(), b.rec.Network.Name, b.leases, store.Cached)
	})
}

// giveUp takes the addresses of keys back and reports whether there was one.
func (b *bridge) giveUp(keys []string) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		if addr, ok := b.leases.Held[key]; ok {
			delete(b.leases.Held, key)
			b.recent[addr] = time.Now()
			changed = true
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
