package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Zone holds who is called what in which network. Adding and removing one
// container costs the same however many there are. Its methods may be called
// from several goroutines.
type Zone struct {
	mu       sync.RWMutex
	networks map[string]*names
	members  map[string][]Member
}

// Member is a container's place in one network.
type Member struct {
	Network string
	// Addr may be zero for one that asks but is not to be found, such as a
	// container that is stopped.
	Addr netip.Addr
	// Names it answers to there: service, container name, aliases, host name,
	// short id. The first is what a reverse lookup gives.
	Names []string
}

// names are those of one network.
type names struct {
	addrs   map[string][]netip.Addr
	reverse map[netip.Addr]string
}

// NewZone has no names.
func NewZone() *Zone {
	return &Zone{networks: map[string]*names{}, members: map[string][]Member{}}
}

// Put sets the places of a container, replacing those it had. Their order is
// the order in which its questions are answered: the first network that knows
// a name gives all of its addresses.
func (z *Zone) Put(container string, places []Member) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.dropLocked(container)
	if len(places) == 0 {
		return
	}
	kept := make([]Member, len(places))
	for i, m := range places {
		kept[i] = Member{Network: m.Network, Addr: m.Addr}
		for _, n := range m.Names {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if n != "" && !slices.Contains(kept[i].Names, n) {
				kept[i].Names = append(kept[i].Names, n)
			}
		}
		z.addLocked(kept[i])
	}
	z.members[container] = kept
}

// Drop forgets a container; one that is not there is success.
func (z *Zone) Drop(container string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.dropLocked(container)
}

func (z *Zone) addLocked(m Member) {
	n := z.networks[m.Network]
	if n == nil {
		n = &names{addrs: map[string][]netip.Addr{}, reverse: map[netip.Addr]string{}}
		z.networks[m.Network] = n
	}
	if !m.Addr.IsValid() {
		return
	}
	for _, name := range m.Names {
		n.addrs[name] = append(n.addrs[name], m.Addr)
	}
	if len(m.Names) > 0 {
		n.reverse[m.Addr] = m.Names[0]
	}
}

func (z *Zone) dropLocked(container string) {
	for _, m := range z.members[container] {
		n := z.networks[m.Network]
		if n == nil || !m.Addr.IsValid() {
			continue
		}
		for _, name := range m.Names {
			// A fresh list: readers hold the old one.
			var left []netip.Addr
			for i, a := range n.addrs[name] {
				if a == m.Addr {
					left = append(left, n.addrs[name][i+1:]...)
					break
				}
				left = append(left, a)
			}
			if len(left) == 0 {
				delete(n.addrs, name)
			} else {
				n.addrs[name] = left
			}
		}
		delete(n.reverse, m.Addr)
		if len(n.addrs) == 0 {
			delete(z.networks, m.Network)
		}
	}
	delete(z.members, container)
}

// Addresses finds a name in the networks of asker: as it is, or as name.network
// in just that network.
func (z *Zone) Addresses(asker, name string) ([]netip.Addr, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	places := z.members[asker]
	for _, m := range places {
		if found, ok := z.addrsLocked(m.Network, name); ok {
			return found, true
		}
	}
	for _, m := range places {
		if short, ok := strings.CutSuffix(name, "."+strings.ToLower(m.Network)); ok {
			if found, ok := z.addrsLocked(m.Network, short); ok {
				return found, true
			}
		}
	}
	return nil, false
}

func (z *Zone) addrsLocked(network, name string) ([]netip.Addr, bool) {
	n := z.networks[network]
	if n == nil {
		return nil, false
	}
	found, ok := n.addrs[name]
	return found, ok
}

// Name finds who has an address in the networks of asker: name.network.
func (z *Zone) Name(asker string, addr netip.Addr) (string, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	for _, m := range z.members[asker] {
		if n := z.networks[m.Network]; n != nil {
			if name, ok := n.reverse[addr]; ok {
				return name + "." + m.Network, true
			}
		}
	}
	return "", false
}
