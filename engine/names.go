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
	for _, a := range l.rec.Blueprint.Networks {
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
	members := make([]dns.Member, 0, len(places))
	for _, p := range places {
		m := dns.Member{Network: p.Network}
		if up {
			m.Addr = p.Addr
			m.Names = l.dnsNames(p.Network)
		}
		members = append(members, m)
		if up && p.Addr6.IsValid() {
			m.Addr = p.Addr6
			members = append(members, m)
		}
	}
	e.zone.Put(l.id, members)
}

// dnsNames are what the container is called on a network; the first one is
// what a reverse lookup gives.
func (l *life) dnsNames(network string) []string {
	names := []string{l.name()}
	for _, a := range l.rec.Blueprint.Networks {
		if a.Network == network {
			names = append(names, a.Aliases...)
		}
	}
	if h := l.rec.Blueprint.Hostname; h != "" {
		names = append(names, h)
	}
	return append(names, short(l.id))
}
