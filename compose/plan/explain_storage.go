package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func explainNetwork(have spec.Network, want *state.Network) []string {
	if have.Labels[state.LabelHash] == want.Hash {
		return nil
	}
	a, b := plainNetworkOf(have, want.Spec), plainNetworkOf(want.Spec, want.Spec)
	if b.MTU == 0 { // the engine chose
		a.MTU = 0
	}
	return fields(a, b)
}

// plainNetwork is what a user wrote about a network; its JSON keys are words of
// the compose file.
type plainNetwork struct {
	Driver     string            `json:"driver"`
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"`
	EnableIPv6 bool              `json:"enable_ipv6,omitempty"`
	EnableIPv4 *bool             `json:"enable_ipv4,omitempty"` // said only where it is off
	Subnet     string            `json:"subnet,omitempty"`
	Gateway    string            `json:"gateway,omitempty"`
	IPRange    string            `json:"ip_range,omitempty"`
	Aux        string            `json:"aux_addresses,omitempty"`
	MTU        int               `json:"mtu,omitempty"`
	Options    map[string]string `json:"driver_opts,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// plainNetworkOf leaves out of n's pools what want leaves to the engine.
func plainNetworkOf(n, want spec.Network) plainNetwork {
	out := plainNetwork{
		Driver: cmp.Or(n.Driver, spec.DriverBridge), Internal: n.Internal, Attachable: n.Attachable,
		EnableIPv6: n.EnableIPv6, MTU: n.MTU, Options: n.Options, Labels: state.UserLabels(n.Labels),
	}
	if n.DisableIPv4 {
		out.EnableIPv4 = new(bool)
	}
	six := func(p spec.Pool) bool { return strings.Contains(p.Subnet, ":") }
	var subnets, gateways, ranges, reserved []string
	for i, p := range n.Pools {
		if !slices.ContainsFunc(want.Pools, func(w spec.Pool) bool { return six(w) == six(p) }) {
			continue
		}
		subnets = append(subnets, p.Subnet)
		if i < len(want.Pools) && want.Pools[i].Gateway != "" {
			gateways = append(gateways, p.Gateway)
		}
		if p.IPRange != "" {
			ranges = append(ranges, p.IPRange)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Reserved)) {
			reserved = append(reserved, name+"="+p.Reserved[name])
		}
	}
	list := func(words []string) string { return strings.Join(words, ", ") }
	out.Subnet, out.Gateway, out.IPRange, out.Aux = list(subnets), list(gateways), list(ranges), list(reserved)
	return out
}

func explainVolume(have spec.Volume, want *state.Volume) []string {
	if have.Labels[state.LabelHash] == want.Hash {
		return nil
	}
	plain := func(v spec.Volume) spec.Volume {
		out := spec.Volume{Driver: v.Driver, Options: v.Options, Labels: state.UserLabels(v.Labels)}
		if out.Driver == "" {
			out.Driver = "local"
		}
		return out
	}
	return fields(plain(have), plain(want.Spec))
}
