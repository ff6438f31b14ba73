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
//
// Where several projects share a network, a name may have several owners. The
// asker's own project comes first, then what others are called by themselves,
// then what others have as an alias, so that nobody's alias stands before
// another's service:
//
//	own project: names and aliases ─▶ others: names ─▶ others: aliases
//
// Each step looks in all networks of the asker, in their order; the first that
// knows the name gives all of its addresses there.
type Zone struct {
	mu       sync.RWMutex
	networks map[string]*names
	members  map[string]*Container
}

// Container is one that asks and may be found.
type Container struct {
	// Project it belongs to; containers without one are strangers to each other.
	Project string
	// Places it has, in the order in which its questions are answered.
	Places []Member
	// Links are names of its own for others: alias → name.
	Links map[string]string
	// Hosts are names that it alone knows, as of its /etc/hosts, which programs
	// with a resolver of their own do not read. What is found on its networks
	// comes before them.
	Hosts map[string][]netip.Addr
}

// Member is a container's place in one network.
type Member struct {
	Network string
	// Addr may be zero for one that asks but is not to be found, such as a
	// container that is stopped.
	Addr netip.Addr
	// Names it answers to there: service, container name, host name, short id.
	// The first is what a reverse lookup gives.
	Names []string
	// Aliases are what its user calls it there as well.
	Aliases []string
}

// names are those of one network.
type names struct {
	owners  map[string][]owner
	reverse map[netip.Addr]string
}

// owner is who has a name in one network.
type owner struct {
	project string
	alias   bool
	addr    netip.Addr
}

// NewZone has no names.
func NewZone() *Zone {
	return &Zone{networks: map[string]*names{}, members: map[string]*Container{}}
}

// Put sets what a container is, replacing what it was.
func (z *Zone) Put(id string, c Container) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.dropLocked(id)
	if len(c.Places) == 0 {
		return
	}
	kept := &Container{Project: c.Project}
	for _, m := range c.Places {
		k := Member{Network: m.Network, Addr: m.Addr, Names: plain(nil, m.Names)}
		k.Aliases = plain(k.Names, m.Aliases)
		kept.Places = append(kept.Places, k)
		z.addLocked(c.Project, k)
	}
	for alias, name := range c.Links {
		if kept.Links == nil {
			kept.Links = map[string]string{}
		}
		kept.Links[canonical(alias)] = canonical(name)
	}
	for name, addrs := range c.Hosts {
		if kept.Hosts == nil {
			kept.Hosts = map[string][]netip.Addr{}
		}
		kept.Hosts[canonical(name)] = append(kept.Hosts[canonical(name)], addrs...)
	}
	z.members[id] = kept
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// plain are the names in the form in which they are asked for, without those
// that are there twice or in but.
func plain(but, list []string) []string {
	var out []string
	for _, n := range list {
		n = canonical(n)
		if n != "" && !slices.Contains(out, n) && !slices.Contains(but, n) {
			out = append(out, n)
		}
	}
	return out
}

// Drop forgets a container; one that is not there is success.
func (z *Zone) Drop(id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.dropLocked(id)
}

func (z *Zone) addLocked(project string, m Member) {
	n := z.networks[m.Network]
	if n == nil {
		n = &names{owners: map[string][]owner{}, reverse: map[netip.Addr]string{}}
		z.networks[m.Network] = n
	}
	if !m.Addr.IsValid() {
		return
	}
	m.each(func(name string, alias bool) {
		n.owners[name] = append(n.owners[name], owner{project, alias, m.Addr})
	})
	if len(m.Names) > 0 {
		n.reverse[m.Addr] = m.Names[0]
	}
}

func (m Member) each(visit func(name string, alias bool)) {
	for _, name := range m.Names {
		visit(name, false)
	}
	for _, name := range m.Aliases {
		visit(name, true)
	}
}

func (z *Zone) dropLocked(id string) {
	c := z.members[id]
	if c == nil {
		return
	}
	for _, m := range c.Places {
		n := z.networks[m.Network]
		if n == nil || !m.Addr.IsValid() {
			continue
		}
		m.each(func(name string, _ bool) {
			left := slices.DeleteFunc(n.owners[name], func(o owner) bool { return o.addr == m.Addr })
			if len(left) == 0 {
				delete(n.owners, name)
			} else {
				n.owners[name] = left
			}
		})
		delete(n.reverse, m.Addr)
		if len(n.owners) == 0 {
			delete(z.networks, m.Network)
		}
	}
	delete(z.members, id)
}

// Addresses finds a name in the networks of asker: as it is, or as name.network
// in just that network. A link of the asker's comes first, its Hosts last.
func (z *Zone) Addresses(asker, name string) ([]netip.Addr, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	c := z.members[asker]
	if c == nil {
		return nil, false
	}
	if target, ok := c.Links[name]; ok {
		name = target
	}
	if found := z.findLocked(c, c.Places, name); found != nil {
		return found, true
	}
	for i, m := range c.Places {
		if short, ok := strings.CutSuffix(name, "."+strings.ToLower(m.Network)); ok {
			if found := z.findLocked(c, c.Places[i:i+1], short); found != nil {
				return found, true
			}
		}
	}
	addrs, ok := c.Hosts[name]
	return slices.Clone(addrs), ok
}

// findLocked gives the addresses of a name, nil if it has none: those of each
// family from the first of the places where it has one.
func (z *Zone) findLocked(c *Container, places []Member, name string) []netip.Addr {
	for _, fits := range []func(owner) bool{
		func(o owner) bool { return o.project == c.Project && c.Project != "" },
		func(o owner) bool { return !o.alias },
		func(owner) bool { return true },
	} {
		var found []netip.Addr
		var four, six bool // found in a place before
		for _, m := range places {
			n := z.networks[m.Network]
			if n == nil {
				continue
			}
			begin := len(found)
			for _, o := range n.owners[name] {
				if fits(o) && !(four && o.addr.Is4()) && !(six && o.addr.Is6()) {
					found = append(found, o.addr)
				}
			}
			for _, a := range found[begin:] {
				four, six = four || a.Is4(), six || a.Is6()
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// Name finds who has an address in the networks of asker: name.network.
func (z *Zone) Name(asker string, addr netip.Addr) (string, bool) {
	z.mu.RLock()
	defer z.mu.RUnlock()
	c := z.members[asker]
	if c == nil {
		return "", false
	}
	for _, m := range c.Places {
		if n := z.networks[m.Network]; n != nil {
			if name, ok := n.reverse[addr]; ok {
				return name + "." + m.Network, true
			}
		}
	}
	return "", false
}

// Names are those of a network, with their addresses.
func (z *Zone) Names(network string) map[string][]netip.Addr {
	z.mu.RLock()
	defer z.mu.RUnlock()
	n := z.networks[network]
	if n == nil {
		return nil
	}
	out := make(map[string][]netip.Addr, len(n.owners))
	for name, owners := range n.owners {
		for _, o := range owners {
			out[name] = append(out[name], o.addr)
		}
	}
	return out
}
