package load

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// owned is the subnet of a network.
type owned struct {
	key             string
	prefix          netip.Prefix
	gateway         netip.Addr
	gatewayIsChosen bool // by us
}

// networks checks subnets, gateways and fixed addresses against each other, and
// external networks and volumes.
func (l *projectLoader) networks(p *types.Project) {
	for _, key := range sortedKeys(p.Volumes) {
		l.external("volumes", "volume", key, bool(p.Volumes[key].External))
	}
	var all []owned
	for _, key := range sortedKeys(p.Networks) {
		l.external("networks", "network", key, bool(p.Networks[key].External))
		pools := p.Networks[key].Ipam.Config
		if len(pools) > 1 {
			path := fmt.Sprintf("networks.%s.ipam.config[1]", key)
			if l.cutBelow("networks." + key + ".ipam.config") {
				continue
			}
			l.mistake(path, notYet+": a second subnet of network "+key, "keep one entry of ipam.config")
			continue
		}
		for _, pool := range pools {
			if own, ok := l.subnet(key, pool, all); ok {
				all = append(all, own)
			}
		}
	}
	for _, own := range all {
		l.room(p, own)
	}
	l.fixedAddresses(p, all)
}

// subnet checks the subnet and the gateway of one network against those of the
// networks before it.
func (l *projectLoader) subnet(key string, pool *types.IPAMPool, before []owned) (owned, bool) {
	path := fmt.Sprintf("networks.%s.ipam.config[0]", key)
	prefix, err := netip.ParsePrefix(pool.Subnet)
	if err != nil {
		if pool.Gateway != "" {
			l.mistake(path, path+" has a gateway and no subnet", "add subnet:")
		}
		return owned{}, false
	}
	own := owned{key: key, prefix: prefix, gateway: prefix.Addr().Next(), gatewayIsChosen: true}
	if gateway, err := netip.ParseAddr(pool.Gateway); err == nil {
		own.gateway, own.gatewayIsChosen = gateway, false
		if why := noHost(prefix, gateway); why != "" {
			l.mistake(path+".gateway", fmt.Sprintf("gateway %s %s", gateway, why), "use an address of the subnet")
		}
	}
	for _, other := range before {
		if other.prefix.Overlaps(prefix) {
			l.mistake(path+".subnet", fmt.Sprintf("subnet %s overlaps %s of network %s", prefix, other.prefix, other.key), "use another range")
		}
	}
	return own, true
}

// noHost says why an address cannot be that of a machine in a subnet; "" if it
// can.
func noHost(subnet netip.Prefix, a netip.Addr) string {
	switch {
	case !subnet.Contains(a):
		return fmt.Sprintf("is outside of %s", subnet)
	case a == subnet.Addr():
		return fmt.Sprintf("is that of the network %s itself", subnet)
	case !subnet.Contains(a.Next()):
		return fmt.Sprintf("is the broadcast address of %s", subnet)
	}
	return ""
}

// room checks that a subnet has an address for each container.
func (l *projectLoader) room(p *types.Project, own owned) {
	wanted := 0
	for _, s := range p.Services {
		if _, ok := s.Networks[own.key]; ok {
			wanted += s.GetScale()
		}
	}
	if own.prefix.Bits() < 16 { // more than anybody can start here
		return
	}
	if free := 1<<(32-own.prefix.Bits()) - 3; wanted > free {
		path := fmt.Sprintf("networks.%s.ipam.config[0].subnet", own.key)
		bits := own.prefix.Bits() - 1
		for 1<<(32-bits)-3 < wanted {
			bits--
		}
		l.mistake(path, fmt.Sprintf("subnet %s is too small: it has an address for %d of the %d containers of network %s", own.prefix, free, wanted, own.key),
			fmt.Sprintf("use /%d or larger", bits))
	}
}

// fixedAddresses checks what services want as their own address.
func (l *projectLoader) fixedAddresses(p *types.Project, subnets []owned) {
	taken := map[string]string{}
	for _, service := range sortedKeys(p.Services) {
		for _, key := range sortedKeys(p.Services[service].Networks) {
			n := p.Services[service].Networks[key]
			if n == nil || n.Ipv4Address == "" || bool(p.Networks[key].External) {
				continue
			}
			addr, err := netip.ParseAddr(n.Ipv4Address)
			if err != nil || l.cutBelow("networks."+key) {
				continue
			}
			l.fixedAddress(service, key, addr, subnets, taken)
			taken[key+" "+addr.String()] = service
		}
	}
}

func (l *projectLoader) fixedAddress(service, key string, addr netip.Addr, subnets []owned, taken map[string]string) {
	path := fmt.Sprintf("services.%s.networks.%s.ipv4_address", service, key)
	i := slices.IndexFunc(subnets, func(o owned) bool { return o.key == key })
	if i < 0 {
		l.mistake(path, fmt.Sprintf("network %s has no subnet for the address %s", key, addr), fmt.Sprintf("add networks.%s.ipam.config with a subnet", key))
		return
	}
	own := subnets[i]
	other := taken[key+" "+addr.String()]
	switch why := noHost(own.prefix, addr); {
	case why != "":
		l.mistake(path, fmt.Sprintf("address %s of service %s %s, the subnet of network %s", addr, service, why, key), "use an address of the subnet")
	case addr == own.gateway && own.gatewayIsChosen:
		l.mistake(path, fmt.Sprintf("address %s of service %s is the gateway of network %s", addr, service, key), "use another address, or set gateway: in ipam.config")
	case addr == own.gateway:
		l.mistake(path, fmt.Sprintf("address %s of service %s is the gateway of network %s", addr, service, key), "use another address")
	case other != "":
		l.mistake(path, fmt.Sprintf("services %s and %s have the address %s", other, service, addr), "change one of them")
	}
}
