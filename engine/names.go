package engine

import (
	"net/netip"

	"github.com/mycompose/mycompose/network/dns"
)

// names is what the resolver of containers knows: the zone, and whom to ask
// for the rest.
type names struct{ e *Engine }

func (n names) Addresses(asker, name string) ([]netip.Addr, bool) {
	return n.e.zone.Addresses(asker, name)
}

func (n names) Name(asker string, addr netip.Addr) (string, bool) {
	return n.e.zone.Name(asker, addr)
}

// Upstreams are the container's own servers or the host's; none for a
// container on internal networks only.
func (n names) Upstreams(asker string) ([]netip.AddrPort, bool) {
	if isStep, out := n.e.builder.sandboxReachesOut(asker); isStep {
		return n.hosts(), out
	}
	l, err := n.e.life(asker)
	if err != nil || !n.e.reachesOut(l) {
		return nil, false
	}
	var own []netip.AddrPort
	for _, s := range l.rec.Blueprint.DNS.Servers {
		if addr, err := netip.ParseAddr(s); err == nil {
			own = append(own, netip.AddrPortFrom(addr, 53))
		}
	}
	if len(own) > 0 {
		return own, true
	}
	return n.hosts(), true
}

// hosts are the host's own servers.
func (n names) hosts() []netip.AddrPort {
	config, err := n.e.upstream.Config()
	if err != nil {
		n.e.log.Warn("the host's resolv.conf cannot be read", "err", err)
		return nil
	}
	return config.Servers
}

func (e *Engine) reachesOut(l *life) bool {
	for _, a := range l.attachments() {
		if b := e.bridge(a.Network); b != nil && !b.rec.Network.Internal {
			return true
		}
	}
	return false
}

// announce makes the container's names known on its networks; while it is not
// up it can only ask.
func (e *Engine) announce(l *life, places []place, up bool) {
	if len(places) == 0 {
		return
	}
	c := dns.Container{Project: l.rec.Blueprint.Project, Links: l.rec.Blueprint.Links, Hosts: e.privateNames(l)}
	for _, p := range places {
		m := dns.Member{Network: p.Network}
		if !up {
			c.Places = append(c.Places, m)
			continue
		}
		m.Names, m.Aliases = l.dnsNames(p.Network)
		for _, a := range p.addrs() {
			m.Addr = a
			c.Places = append(c.Places, m)
		}
	}
	e.zone.Put(l.id, c)
}

// privateNames are those that only the container's own /etc/hosts has: programs
// that ask the resolver alone, as nginx, find them too.
func (e *Engine) privateNames(l *life) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, h := range e.extraHosts(l) {
		if addr, err := netip.ParseAddr(h.IP); err == nil {
			out[h.Name] = append(out[h.Name], addr)
		}
	}
	return out
}

// labelService is the label that says which service a container belongs to.
const labelService = "com.docker.compose.service"

// dnsNames are what the container is called on a network, and what its user
// calls it there as well. The first name is what a reverse lookup gives. A
// one-off container is of a service, but only its aliases say whether it answers
// for it.
func (l *life) dnsNames(network string) (names, aliases []string) {
	b := l.rec.Blueprint
	names = []string{l.name(), short(l.id)}
	for _, a := range l.attachments() {
		if a.Network != network {
			continue
		}
		for _, alias := range a.Aliases {
			if alias == b.Labels[labelService] {
				names = append(names, alias)
			} else {
				aliases = append(aliases, alias)
			}
		}
	}
	if b.Hostname != "" {
		aliases = append(aliases, b.Hostname)
	}
	return names, aliases
}
