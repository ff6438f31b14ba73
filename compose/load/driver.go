package load

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/engine/spec"
)

// networkOptions checks driver_opts, and what the driver of a network cannot do.
func (l *projectLoader) networkOptions(p *types.Project) {
	names := map[string]string{}
	for _, key := range sortedKeys(p.Networks) {
		n := p.Networks[key]
		path := "networks." + key
		if bool(n.External) || l.cutWithin(path+".driver") {
			continue
		}
		driver := networkDriver(n.Driver)
		options, wrong := spec.ParseNetworkOptions(driver, n.DriverOpts)
		for _, e := range wrong {
			at := path + ".driver_opts." + e.Option
			if !e.Unknown {
				l.mistake(at, at+": "+e.Wrong, e.Right)
				continue
			}
			known := spec.KnownNetworkOptions(driver)
			hint := "those of " + driver + " are " + strings.Join(known, ", ")
			if near := nearest(e.Option, slices.Values(known)); near != "" {
				hint = "did you mean `" + near + "`?"
			}
			l.mistake(at, fmt.Sprintf("unknown option %s of network %s", e.Option, key), hint)
		}
		if name := options.BridgeName; name != "" {
			if other, ok := names[name]; ok {
				l.mistake(path+".driver_opts."+spec.OptionBridgeName, fmt.Sprintf("networks %s and %s have one bridge: %s", other, key, name), "change one of them")
			}
			names[name] = key
		}
	}
}

// volumeOptions checks driver_opts of volumes.
func (l *projectLoader) volumeOptions(p *types.Project) {
	for _, key := range sortedKeys(p.Volumes) {
		v := p.Volumes[key]
		if bool(v.External) || l.cutWithin("volumes."+key+".driver") {
			continue
		}
		options, wrong := spec.ParseVolumeOptions(v.DriverOpts)
		for _, e := range wrong {
			at := "volumes." + key + ".driver_opts." + e.Option
			if e.Unknown {
				l.mistake(at, notYet+": "+at+" ("+e.Wrong+")", e.Right)
			} else {
				l.mistake(at, at+": "+e.Wrong, e.Right)
			}
		}
		if len(wrong) > 0 || options.Device == "" || !l.used(p, "volumes", key) {
			continue
		}
		at := "volumes." + key + ".driver_opts.device"
		if options.Type != "" {
			if _, err := os.Stat(options.Device); err != nil && strings.HasPrefix(options.Device, "/dev/") {
				l.mistake(at, fmt.Sprintf("the device of volume %s does not exist: %s", key, l.shown(options.Device)), "connect it, or name another")
			}
			continue
		}
		switch info, err := os.Stat(options.Device); {
		case err != nil:
			l.mistake(at, fmt.Sprintf("the folder of volume %s does not exist: %s", key, l.shown(options.Device)), "make it, or name another")
		case !info.IsDir():
			l.mistake(at, fmt.Sprintf("volume %s is to show %s, which is no folder", key, l.shown(options.Device)), "name a folder")
		}
	}
}

// portsNeedBridge checks that a service that publishes ports has a network that
// they can lead into.
func (l *projectLoader) portsNeedBridge(p *types.Project) {
	for _, name := range sortedKeys(p.Services) {
		s := p.Services[name]
		if len(s.Ports) == 0 || len(s.Networks) == 0 {
			continue
		}
		driver := ""
		for _, key := range sortedKeys(s.Networks) {
			n, known := p.Networks[key]
			if d := networkDriver(n.Driver); !known || bool(n.External) || d == spec.DriverBridge || l.cutWithin("networks."+key+".driver") {
				driver = ""
				break
			}
			driver = networkDriver(n.Driver)
		}
		if driver != "" {
			l.mistake("services."+name+".ports", fmt.Sprintf("service %s publishes ports and is only on networks of driver %s", name, driver),
				"take ports away: it is reached by its own address; or add a bridge network")
		}
	}
}

// networkDriver is the driver of a network that says so or says nothing.
func networkDriver(word string) string {
	if word == "" || word == "default" {
		return spec.DriverBridge
	}
	return word
}

// attachedOnce checks what only one replica can have on a network, and names of
// links.
func (l *projectLoader) attachedOnce(s types.ServiceConfig) {
	path := "services." + s.Name
	if s.MacAddress != "" && s.GetScale() > 1 {
		l.mistake(path+".mac_address", fmt.Sprintf("service %s has a fixed hardware address and %d replicas", s.Name, s.GetScale()), "take mac_address away")
	}
	links := map[string]string{}
	for _, key := range sortedKeys(s.Networks) {
		n := s.Networks[key]
		if n == nil {
			continue
		}
		where := path + ".networks." + key
		if s.GetScale() > 1 {
			for _, fixed := range []struct{ key, text, what string }{
				{"ipv4_address", n.Ipv4Address, "a fixed address"}, {"ipv6_address", n.Ipv6Address, "a fixed address"},
				{"mac_address", n.MacAddress, "a fixed hardware address"},
			} {
				if fixed.text != "" {
					l.mistake(where+"."+fixed.key, fmt.Sprintf("service %s has %s and %d replicas", s.Name, fixed.what, s.GetScale()), "take "+fixed.key+" away")
				}
			}
		}
		if n.InterfaceName == "" {
			continue
		}
		if n.InterfaceName == "lo" {
			l.mistake(where+".interface_name", fmt.Sprintf("service %s calls its link to %s lo, which is the loopback device", s.Name, key), "use another name")
		}
		if other, ok := links[n.InterfaceName]; ok {
			l.mistake(where+".interface_name", fmt.Sprintf("service %s gives its links to %s and %s one name: %s", s.Name, other, key, n.InterfaceName), "change one of them")
		}
		links[n.InterfaceName] = key
	}
}

// hostLoopback is the key of a service that may reach the host's 127.0.0.1.
const hostLoopback = "x-host-loopback"

// loopbackIsSaid checks the value of that key, which no schema knows.
func (l *projectLoader) loopbackIsSaid(s types.ServiceConfig) {
	value, given := s.Extensions[hostLoopback]
	path := "services." + s.Name + "." + hostLoopback
	on, ok := value.(bool)
	switch {
	case !given:
	case !ok:
		l.mistake(path, fmt.Sprintf("%s is %v", path, value), "it must be true or false")
	case on && s.NetworkMode != "":
		l.mistake(path, fmt.Sprintf("service %s has %s and network_mode: %s", s.Name, hostLoopback, s.NetworkMode),
			"take it away: it is about services on networks")
	}
}

// modeExcludes checks the network mode against what only networks have.
func (l *projectLoader) modeExcludes(s types.ServiceConfig) {
	if s.NetworkMode == "" {
		return
	}
	path := "services." + s.Name
	if len(s.Networks) > 0 {
		hint := "keep one of them"
		if slices.ContainsFunc(sortedKeys(s.Networks), func(key string) bool { return s.Networks[key] != nil && len(s.Networks[key].Aliases) > 0 }) {
			hint = "keep one of them: aliases are names on a network"
		}
		l.mistake(path+".network_mode", fmt.Sprintf("service %s has network_mode and networks", s.Name), hint)
	}
	if s.MacAddress != "" {
		l.mistake(path+".mac_address", fmt.Sprintf("service %s has network_mode: %s, and a hardware address is that of a link to a network", s.Name, s.NetworkMode), "take mac_address away")
	}
}

// link-local addresses by family are /16 and /64.
func linkLocal(list []string) []string {
	var out []string
	for _, text := range list {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, addr.String())
		}
	}
	return out
}
