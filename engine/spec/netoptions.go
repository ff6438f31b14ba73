package spec

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Drivers of networks.
const (
	DriverBridge  = "bridge"
	DriverMacvlan = "macvlan"
	DriverIPvlan  = "ipvlan"
)

// The options of networks that we know, named as dockerd names them.
const (
	OptionBridgeName = "com.docker.network.bridge.name"
	OptionMTU        = "com.docker.network.driver.mtu"
	OptionICC        = "com.docker.network.bridge.enable_icc"
	OptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	OptionHostIPv4   = "com.docker.network.bridge.host_binding_ipv4"
	OptionIfPrefix   = "com.docker.network.container_iface_prefix"
	OptionParent     = "parent"
	OptionMacvlan    = "macvlan_mode"
	OptionIPvlan     = "ipvlan_mode"
	OptionIPvlanFlag = "ipvlan_flag"
)

// mtuByBridge is another name that people write for OptionMTU.
const mtuByBridge = "com.docker.network.bridge.mtu"

// NetworkOptions is what the options of a network say.
type NetworkOptions struct {
	// BridgeName is the name of the link on the host; empty: one of ours.
	BridgeName string
	// MTU in bytes, 68 to 65535; 0 if not given.
	MTU int
	// NoICC keeps the containers of the network from each other.
	NoICC bool
	// NoMasquerade lets packets leave with the container's own address.
	NoMasquerade bool
	// HostIP is where ports without a host address are published.
	HostIP string
	// IfPrefix begins the names of links inside, in place of eth.
	IfPrefix string
	// Parent is the host's link of a macvlan or ipvlan network; empty makes
	// one that leads nowhere.
	Parent string
	// Mode is bridge, private, vepa or passthru; l2, l3 or l3s for ipvlan.
	Mode string
	// Flag of ipvlan is bridge, private or vepa.
	Flag string
}

// OptionError is one mistake in the options of a network.
type OptionError struct {
	Option string
	// Unknown: there is no such option for the driver, see
	// KnownNetworkOptions. Otherwise Wrong says what is wrong with its
	// value; Right what would be right.
	Unknown      bool
	Wrong, Right string
}

func (e OptionError) Error() string {
	if e.Unknown {
		return "unknown option " + e.Option
	}
	return fmt.Sprintf("option %s: %s; %s", e.Option, e.Wrong, e.Right)
}

// option reads one value; it returns what is wrong and what would be right.
type option func(o *NetworkOptions, value string) (wrong, right string)

func networkOptions(driver string) map[string]option {
	mtu := func(o *NetworkOptions, v string) (wrong, right string) {
		n, err := strconv.Atoi(v)
		if err != nil || n < 68 || n > 65535 {
			return fmt.Sprintf("%q is no MTU", v), "write bytes from 68 to 65535"
		}
		o.MTU = n
		return "", ""
	}
	prefix := func(o *NetworkOptions, v string) (wrong, right string) {
		o.IfPrefix = v
		return linkName(v+"0", "write a few letters such as eth")
	}
	parent := func(o *NetworkOptions, v string) (wrong, right string) {
		o.Parent = v
		return linkName(v, "name a network device of the host, such as eth0")
	}
	switch driver {
	case DriverMacvlan:
		return map[string]option{
			OptionMTU: mtu, OptionIfPrefix: prefix, OptionParent: parent,
			OptionMacvlan: word(func(o *NetworkOptions, v string) { o.Mode = v }, "bridge", "private", "vepa", "passthru"),
		}
	case DriverIPvlan:
		return map[string]option{
			OptionMTU: mtu, OptionIfPrefix: prefix, OptionParent: parent,
			OptionIPvlan:     word(func(o *NetworkOptions, v string) { o.Mode = v }, "l2", "l3", "l3s"),
			OptionIPvlanFlag: word(func(o *NetworkOptions, v string) { o.Flag = v }, "bridge", "private", "vepa"),
		}
	}
	return map[string]option{
		OptionMTU: mtu, mtuByBridge: mtu, OptionIfPrefix: prefix,
		OptionBridgeName: func(o *NetworkOptions, v string) (wrong, right string) {
			o.BridgeName = v
			return linkName(v, "use 1 to 15 letters, digits, dashes and dots")
		},
		OptionICC:        boolean(func(o *NetworkOptions, yes bool) { o.NoICC = !yes }),
		OptionMasquerade: boolean(func(o *NetworkOptions, yes bool) { o.NoMasquerade = !yes }),
		OptionHostIPv4: func(o *NetworkOptions, v string) (wrong, right string) {
			a, err := netip.ParseAddr(v)
			if err != nil || !a.Is4() {
				return fmt.Sprintf("%q is no IPv4 address", v), "write an address of the host, such as 127.0.0.1"
			}
			o.HostIP = v
			return "", ""
		},
	}
}

func boolean(set func(*NetworkOptions, bool)) option {
	return func(o *NetworkOptions, v string) (wrong, right string) {
		yes, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Sprintf("%q is neither true nor false", v), "write \"true\" or \"false\""
		}
		set(o, yes)
		return "", ""
	}
}

func word(set func(*NetworkOptions, string), words ...string) option {
	return func(o *NetworkOptions, v string) (wrong, right string) {
		if !slices.Contains(words, v) {
			return fmt.Sprintf("%q is not known", v), "use " + strings.Join(words, ", ")
		}
		set(o, v)
		return "", ""
	}
}

// linkName says whether the kernel takes a name for a link (dev_valid_name).
func linkName(name, right string) (wrong, hint string) {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n") {
		return fmt.Sprintf("%q is no name of a network device", name), right
	}
	return "", ""
}

// CheckLinkName says why the kernel does not take a name for a link, and what
// would be right; "" if it takes it.
func CheckLinkName(name string) (wrong, right string) {
	return linkName(name, "use 1 to 15 letters, digits, dashes and dots")
}

// KnownNetworkOptions are the names of a driver's options, sorted.
func KnownNetworkOptions(driver string) []string {
	return slices.Sorted(maps.Keys(networkOptions(driver)))
}

// ParseNetworkOptions reads the options of a network of that driver. All
// mistakes are returned, sorted by option.
func ParseNetworkOptions(driver string, options map[string]string) (NetworkOptions, []OptionError) {
	var o NetworkOptions
	var wrong []OptionError
	known := networkOptions(driver)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		read, ok := known[name]
		if !ok {
			wrong = append(wrong, OptionError{Option: name, Unknown: true})
			continue
		}
		if bad, right := read(&o, options[name]); bad != "" {
			wrong = append(wrong, OptionError{Option: name, Wrong: bad, Right: right})
		}
	}
	return o, wrong
}
