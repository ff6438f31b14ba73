package load

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

// owned is one subnet of a network.
type owned struct {
	key  string
	path string // networks.<key>.ipam.config[n]

	prefix          netip.Prefix
	gateway         netip.Addr
	gatewayIsChosen bool         // by us
	within          netip.Prefix // ip_range; zero is all of prefix
	reserved        map[netip.Addr]string
}

// networks checks subnets, gateways and fixed addresses against each other,
// options, and external networks and volumes.
func (l *projectLoader) networks(p *types.Project) {
	for _, key := range sortedKeys(p.Volumes) {
		l.external("volumes", "volume", key, bool(p.Volumes[key].External))
	}
	l.oneName(p)
	var all []owned
	for _, key := range sortedKeys(p.Networks) {
		n := p.Networks[key]
		l.external("networks", "network", key, bool(n.External))
		l.oneFamily(key, n)
		for i, pool := range n.Ipam.Config {
			path := fmt.Sprintf("networks.%s.ipam.config[%d]", key, i)
			if own, ok := l.subnet(key, path, pool, all); ok {
				l.familyIsOn(n, own)
				all = append(all, own)
			}
		}
	}
	l.networkOptions(p)
	l.volumeOptions(p)
	l.portsNeedBridge(p)
	for _, key := range sortedKeys(p.Networks) {
		l.room(p, key, all)
	}
	l.fixedAddresses(p, all)
}

// oneName checks that no two networks to be made are the same one.
func (l *projectLoader) oneName(p *types.Project) {
	keys := map[string]string{}
	for _, key := range sortedKeys(p.Networks) {
		n := p.Networks[key]
		if bool(n.External) {
			continue
		}
		if other := keys[n.Name]; other != "" {
			l.mistake("networks."+key+".name", fmt.Sprintf("networks %s and %s have one name: %s", other, key, n.Name), "change one of them, or keep one network")
		}
		keys[n.Name] = key
	}
}

// subnet checks one address range of a network against those before it.
func (l *projectLoader) subnet(key, path string, pool *types.IPAMPool, before []owned) (owned, bool) {
	prefix, err := netip.ParsePrefix(pool.Subnet)
	if err != nil {
		for _, other := range []struct {
			name  string
			given bool
		}{{"gateway", pool.Gateway != ""}, {"ip_range", pool.IPRange != ""}, {"aux_addresses", len(pool.AuxiliaryAddresses) > 0}} {
			if other.given && !l.cutBelow(path) {
				l.mistake(path, path+" has "+other.name+" and no subnet", "add subnet:")
				break
			}
		}
		return owned{}, false
	}
	own := owned{key: key, path: path, prefix: prefix, gateway: prefix.Addr().Next(), gatewayIsChosen: true, reserved: map[netip.Addr]string{}}
	if gateway, err := netip.ParseAddr(pool.Gateway); err == nil {
		own.gateway, own.gatewayIsChosen = gateway, false
		if why := noHost(prefix, gateway); why != "" {
			l.mistake(path+".gateway", fmt.Sprintf("gateway %s %s", gateway, why), "use an address of the subnet")
		}
	}
	if within, err := netip.ParsePrefix(pool.IPRange); err == nil {
		own.within = within
		if within.Bits() < prefix.Bits() || !prefix.Contains(within.Addr()) {
			l.mistake(path+".ip_range", fmt.Sprintf("ip_range %s is not inside of subnet %s", within, prefix), "use a part of the subnet")
			own.within = netip.Prefix{}
		}
	}
	for _, name := range sortedKeys(pool.AuxiliaryAddresses) {
		addr, err := netip.ParseAddr(pool.AuxiliaryAddresses[name])
		if err != nil {
			continue
		}
		if why := noHost(prefix, addr); why != "" {
			l.mistake(path+".aux_addresses."+name, fmt.Sprintf("address %s of %s %s", addr, name, why), "use an address of the subnet")
		}
		own.reserved[addr] = name
	}
	for _, other := range before {
		if other.prefix.Overlaps(prefix) {
			l.mistake(path+".subnet", fmt.Sprintf("subnet %s overlaps %s of network %s", prefix, other.prefix, other.key), "use another range")
		}
	}
	return own, true
}

// oneFamily checks that a network has addresses at all.
func (l *projectLoader) oneFamily(key string, n types.NetworkConfig) {
	if !fourOn(n) && !sixOn(n) && !bool(n.External) {
		path := "networks." + key + ".enable_ipv4"
		l.mistake(path, fmt.Sprintf("network %s has neither IPv4 nor IPv6", key), "add enable_ipv6: true")
	}
}

func fourOn(n types.NetworkConfig) bool { return n.EnableIPv4 == nil || *n.EnableIPv4 }
func sixOn(n types.NetworkConfig) bool  { return n.EnableIPv6 != nil && *n.EnableIPv6 }

// familyIsOn checks that a subnet can be used.
func (l *projectLoader) familyIsOn(n types.NetworkConfig, own owned) {
	switch six := own.prefix.Addr().Is6(); {
	case six && !sixOn(n):
		l.mistake(own.path+".subnet", fmt.Sprintf("network %s has the IPv6 subnet %s, and IPv6 is off", own.key, own.prefix), "add enable_ipv6: true")
	case !six && !fourOn(n):
		l.mistake(own.path+".subnet", fmt.Sprintf("network %s has the IPv4 subnet %s, and IPv4 is off", own.key, own.prefix), "take enable_ipv4: false or the subnet away")
	}
}

// noHost says why an address cannot be that of a machine in a subnet; "" if it
// can.
func noHost(subnet netip.Prefix, a netip.Addr) string {
	switch {
	case !subnet.Contains(a):
		return fmt.Sprintf("is outside of %s", subnet)
	case a == subnet.Addr():
		return fmt.Sprintf("is that of the network %s itself", subnet)
	case a.Is4() && !subnet.Contains(a.Next()):
		return fmt.Sprintf("is the broadcast address of %s", subnet)
	}
	return ""
}

// room checks that the IPv4 subnets of a network have an address for each
// container.
func (l *projectLoader) room(p *types.Project, key string, all []owned) {
	wanted, free := 0, 0
	for _, s := range p.Services {
		if _, ok := s.Networks[key]; ok {
			wanted += s.GetScale()
		}
	}
	var first owned
	for _, own := range all {
		if own.key != key || own.prefix.Addr().Is6() {
			continue
		}
		if first.key == "" {
			first = own
		}
		if own.prefix.Bits() < 16 || own.within.IsValid() && own.within.Bits() < 16 {
			return // more than anybody can start here
		}
		free += own.room()
	}
	if first.key == "" || wanted <= free {
		return
	}
	if first.within.IsValid() {
		l.mistake(first.path+".ip_range", fmt.Sprintf("ip_range %s is too small: it has an address for %d of the %d containers of network %s", first.within, free, wanted, key),
			"use a larger one")
		return
	}
	bits := first.prefix.Bits() - 1
	for 1<<(32-bits)-3 < wanted {
		bits--
	}
	l.mistake(first.path+".subnet", fmt.Sprintf("subnet %s is too small: it has an address for %d of the %d containers of network %s", first.prefix, free, wanted, key),
		fmt.Sprintf("use /%d or larger", bits))
}

// room counts the addresses for containers.
func (o owned) room() int {
	within := o.prefix
	if o.within.IsValid() {
		within = o.within
	}
	free := 0
	for a := within.Addr(); within.Contains(a); a = a.Next() {
		if _, reserved := o.reserved[a]; !reserved && a != o.gateway && noHost(o.prefix, a) == "" {
			free++
		}
	}
	return free
}

// fixedAddresses checks what services want as their own address.
func (l *projectLoader) fixedAddresses(p *types.Project, subnets []owned) {
	taken := map[string]string{}
	for _, service := range sortedKeys(p.Services) {
		s := p.Services[service]
		if mac, err := net.ParseMAC(s.MacAddress); err == nil && s.NetworkMode == "" {
			l.firstLink(taken, s, mac.String())
		}
		for _, key := range sortedKeys(s.Networks) {
			n := s.Networks[key]
			if n == nil || l.cutBelow("networks."+key) {
				continue
			}
			path := fmt.Sprintf("services.%s.networks.%s", service, key)
			once := func(key, what, value string) {
				if value == "" {
					return
				}
				if other := taken[key+" "+value]; other != "" {
					l.mistake(path+"."+what, fmt.Sprintf("services %s and %s have the address %s", other, service, value), "change one of them")
				}
				taken[key+" "+value] = service
			}
			for _, fixed := range []struct{ key, text string }{{"ipv4_address", n.Ipv4Address}, {"ipv6_address", n.Ipv6Address}} {
				addr, err := netip.ParseAddr(fixed.text)
				if err != nil {
					continue
				}
				if bool(p.Networks[key].External) || l.fixedAddress(service, key, path+"."+fixed.key, addr, p.Networks[key], subnets) {
					once(key, fixed.key, addr.String())
				}
			}
			if mac, err := net.ParseMAC(n.MacAddress); err == nil {
				once(key, "mac_address", mac.String())
			}
			for i, text := range n.LinkLocalIPs {
				if addr, err := netip.ParseAddr(text); err == nil {
					once(key, fmt.Sprintf("link_local_ips[%d]", i), addr.String())
				}
			}
		}
	}
}

// firstLink checks the hardware address of a service, which is that of its first
// link unless that has its own.
func (l *projectLoader) firstLink(taken map[string]string, s types.ServiceConfig, mac string) {
	first := model.Attachment{Network: "default", Priority: math.MinInt}
	for _, a := range attachments(s) {
		if a.Priority > first.Priority {
			first = a
		}
	}
	if n := s.Networks[first.Network]; n != nil && n.MacAddress != "" {
		return // said there
	}
	key := first.Network + " " + mac
	if other := taken[key]; other != "" {
		l.mistake("services."+s.Name+".mac_address", fmt.Sprintf("services %s and %s have the address %s", other, s.Name, mac), "change one of them")
	}
	taken[key] = s.Name
}

// fixedAddress checks one address and reports whether it can be used.
func (l *projectLoader) fixedAddress(service, key, path string, addr netip.Addr, n types.NetworkConfig, subnets []owned) bool {
	mine := func(o owned) bool { return o.key == key && o.prefix.Addr().Is4() == addr.Is4() }
	i := slices.IndexFunc(subnets, func(o owned) bool { return mine(o) && o.prefix.Contains(addr) })
	if i < 0 {
		i = slices.IndexFunc(subnets, mine)
	}
	if i < 0 {
		hint := fmt.Sprintf("add networks.%s.ipam.config with a subnet", key)
		switch {
		case addr.Is6() && !sixOn(n):
			hint = fmt.Sprintf("add networks.%s.enable_ipv6: true and ipam.config with a subnet", key)
		case addr.Is4() && !fourOn(n):
			hint = fmt.Sprintf("use ipv6_address, or take networks.%s.enable_ipv4: false away", key)
		}
		l.mistake(path, fmt.Sprintf("network %s has no subnet for the address %s", key, addr), hint)
		return false
	}
	own := subnets[i]
	switch why := noHost(own.prefix, addr); {
	case why != "":
		l.mistake(path, fmt.Sprintf("address %s of service %s %s, the subnet of network %s", addr, service, why, key), "use an address of the subnet")
	case addr == own.gateway && own.gatewayIsChosen:
		l.mistake(path, fmt.Sprintf("address %s of service %s is the gateway of network %s", addr, service, key), "use another address, or set gateway: in ipam.config")
	case addr == own.gateway:
		l.mistake(path, fmt.Sprintf("address %s of service %s is the gateway of network %s", addr, service, key), "use another address")
	case own.reserved[addr] != "":
		l.mistake(path, fmt.Sprintf("address %s of service %s is reserved for %s by aux_addresses of network %s", addr, service, own.reserved[addr], key), "use another address")
	default:
		return true
	}
	return false
}
