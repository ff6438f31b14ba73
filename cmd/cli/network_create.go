package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// addressFlags are those that say what a network hands out.
type addressFlags struct {
	subnets, gateways, ranges, reserved []string
}

func networkCreateCommand(s *session) *cobra.Command {
	var n spec.Network
	var labels, options []string
	var a addressFlags
	var ipam, scope string
	four := true
	cmd := &cobra.Command{
		Use: "create [OPTIONS] NETWORK", Short: "Create a network", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n.Name = args[0]
			if ipam != "default" || scope != "local" && scope != "" {
				return fmt.Errorf("not supported yet: --ipam-driver %s --scope %s; leave them out", ipam, scope)
			}
			if !four && !n.EnableIPv6 {
				return fmt.Errorf("--ipv4=false leaves the network without addresses: add --ipv6")
			}
			n.DisableIPv4 = !four
			var err error
			if n.Labels, err = keysAndValues("label", labels, true); err != nil {
				return err
			}
			if n.Options, err = keysAndValues("opt", options, false); err != nil {
				return err
			}
			if n.Pools, err = a.pools(); err != nil {
				return err
			}
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			made, err := c.CreateNetwork(cmd.Context(), n)
			if err != nil {
				return err
			}
			s.screen.Println(made.ID)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&n.Driver, "driver", "d", "bridge", "bridge, macvlan or ipvlan")
	f.StringArrayVarP(&options, "opt", "o", nil, "Option of the driver, such as com.docker.network.driver.mtu=1400 or parent=eth0")
	f.StringArrayVar(&labels, "label", nil, "Label, name=value")
	f.BoolVar(&n.Internal, "internal", false, "No way out of the host")
	f.BoolVar(&n.Attachable, "attachable", false, "Kept and shown; every network is")
	f.BoolVar(&n.EnableIPv6, "ipv6", false, "An IPv6 subnet too")
	f.BoolVar(&four, "ipv4", true, "An IPv4 subnet")
	f.StringSliceVar(&a.subnets, "subnet", nil, "Range of addresses, such as 10.5.0.0/24; one is chosen without it")
	f.StringSliceVar(&a.gateways, "gateway", nil, "Address of the host in a subnet; its first without it")
	f.StringSliceVar(&a.ranges, "ip-range", nil, "Part of a subnet that addresses are handed out from")
	f.StringSliceVar(&a.reserved, "aux-address", nil, "Address that is never handed out, name=10.5.0.9")
	f.StringVar(&ipam, "ipam-driver", "default", "default")
	f.StringVar(&scope, "scope", "", "local")
	return cmd
}

// keysAndValues reads name=value; a bare name is allowed where a value may be
// missing.
func keysAndValues(flag string, list []string, bare bool) (map[string]string, error) {
	var out map[string]string
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if name == "" || !ok && !bare {
			return nil, fmt.Errorf("invalid value for --%s: %q: write name=value", flag, text)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out, nil
}

// pools puts each gateway, range and reserved address to its subnet.
func (f addressFlags) pools() ([]spec.Pool, error) {
	var pools []spec.Pool
	var subnets []netip.Prefix
	for _, text := range f.subnets {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("invalid value for --subnet: %q: write it as 10.5.0.0/24", text)
		}
		pools, subnets = append(pools, spec.Pool{Subnet: text}), append(subnets, p)
	}
	find := func(flag, text string, a netip.Addr, err error) (*spec.Pool, error) {
		if err != nil {
			return nil, fmt.Errorf("invalid value for --%s: %q: %w", flag, text, err)
		}
		for i, s := range subnets {
			if s.Contains(a) {
				return &pools[i], nil
			}
		}
		return nil, fmt.Errorf("invalid value for --%s: %s is in no --subnet", flag, text)
	}
	for _, text := range f.gateways {
		a, err := netip.ParseAddr(text)
		pool, err := find("gateway", text, a, err)
		if err != nil {
			return nil, err
		}
		if pool.Gateway != "" {
			return nil, fmt.Errorf("invalid value for --gateway: subnet %s has two", pool.Subnet)
		}
		pool.Gateway = text
	}
	for _, text := range f.ranges {
		p, err := netip.ParsePrefix(text)
		pool, err := find("ip-range", text, p.Addr(), err)
		if err != nil {
			return nil, err
		}
		if pool.IPRange != "" {
			return nil, fmt.Errorf("invalid value for --ip-range: subnet %s has two", pool.Subnet)
		}
		pool.IPRange = text
	}
	for _, text := range f.reserved {
		name, word, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("invalid value for --aux-address: %q: write name=10.5.0.9", text)
		}
		a, err := netip.ParseAddr(word)
		pool, err := find("aux-address", text, a, err)
		if err != nil {
			return nil, err
		}
		if pool.Reserved == nil {
			pool.Reserved = map[string]string{}
		}
		pool.Reserved[name] = word
	}
	return pools, nil
}

func networkConnectCommand(s *session) *cobra.Command {
	var r client.NetworkConnect
	cmd := &cobra.Command{
		Use: "connect [OPTIONS] NETWORK CONTAINER", Short: "Connect a container to a network, also while it runs", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Attachment.Network, r.Container = args[0], args[1]
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			return c.ConnectNetwork(cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&r.Attachment.Aliases, "alias", nil, "Further name on the network")
	f.StringVar(&r.Attachment.IPv4Address, "ip", "", "IPv4 address, such as 10.5.0.30")
	f.StringVar(&r.Attachment.IPv6Address, "ip6", "", "IPv6 address, such as fd00:5::30")
	f.StringSliceVar(&r.Attachment.LinkLocal, "link-local-ip", nil, "Further link-local address")
	f.IntVar(&r.Attachment.GatewayPriority, "gw-priority", 0, "The highest is the default route")
	return cmd
}

func networkDisconnectCommand(s *session) *cobra.Command {
	var r client.NetworkDisconnect
	cmd := &cobra.Command{
		Use: "disconnect [OPTIONS] NETWORK CONTAINER", Short: "Disconnect a container from a network, also while it runs", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Network, r.Container = args[0], args[1]
			c, err := s.dial(cmd.Context())
			if err != nil {
				return err
			}
			return c.DisconnectNetwork(cmd.Context(), r)
		},
	}
	cmd.Flags().BoolVarP(&r.Force, "force", "f", false, "A container that does not exist, or is not on it, is no error")
	return cmd
}
