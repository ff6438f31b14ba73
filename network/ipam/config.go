package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

// Config is how one range of a network hands out addresses, as a user wrote it
// or as Resolve completed it.
type Config struct {
	// Subnet is the range, /8 to /30 or, in IPv6, /16 to /120.
	Subnet netip.Prefix
	// Gateway is the bridge's own address; zero means the first of Subnet.
	Gateway netip.Addr
	// Range limits what Next hands out; zero means all of Subnet. Static
	// addresses may lie outside it, as in dockerd.
	Range netip.Prefix
	// Reserved are addresses that Next never hands out (aux_addresses).
	Reserved []netip.Addr
}

// Resolve checks c and fills in the gateway. All that is wrong is reported,
// joined, each cause saying what would be right.
func Resolve(c Config) (Config, error) {
	if err := checkSubnet(c.Subnet); err != nil {
		return Config{}, err
	}
	var wrong []error
	if !c.Gateway.IsValid() {
		c.Gateway = c.Subnet.Addr().Next()
	} else if err := checkHost(c.Subnet, c.Gateway); err != nil {
		wrong = append(wrong, fmt.Errorf("cannot use gateway %s: %w", c.Gateway, err))
	}
	if c.Range.IsValid() {
		if err := checkRange(c.Subnet, c.Range); err != nil {
			wrong = append(wrong, fmt.Errorf("cannot use ip_range %s: %w", c.Range, err))
		}
	}
	for _, a := range c.Reserved {
		if err := checkHost(c.Subnet, a); err != nil {
			wrong = append(wrong, fmt.Errorf("cannot reserve address %s: %w", a, err))
		}
	}
	if len(wrong) > 0 {
		return Config{}, errors.Join(wrong...)
	}
	return c, nil
}

func checkSubnet(p netip.Prefix) error {
	if err := checkPrefix(p); err != nil {
		return fmt.Errorf("cannot use subnet %s: %w", p, err)
	}
	large, small, family := 8, smallestNamed, "IPv4"
	if p.Addr().Is6() {
		large, small, family = 16, smallest6, "IPv6"
	}
	switch {
	case p.Bits() < large:
		return fmt.Errorf("cannot use subnet %s: larger than /%d", p, large)
	case p.Bits() > small:
		return fmt.Errorf("cannot use subnet %s: smaller than /%d, no room for a gateway and a container", p, small)
	case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsUnspecified() || p.Addr().IsLinkLocalUnicast():
		return fmt.Errorf("cannot use subnet %s: the range has another meaning in %s", p, family)
	}
	return nil
}

func checkRange(subnet, r netip.Prefix) error {
	if err := checkPrefix(r); err != nil {
		return err
	}
	if r.Bits() < subnet.Bits() || !subnet.Contains(r.Addr()) {
		return fmt.Errorf("it is not inside subnet %s", subnet)
	}
	return nil
}

// checkHost says why a cannot be an address of a machine in subnet.
func checkHost(subnet netip.Prefix, a netip.Addr) error {
	switch {
	case !a.IsValid() || !subnet.Contains(a):
		return fmt.Errorf("it is not inside subnet %s", subnet)
	case a == subnet.Addr():
		return errors.New("it is the address of the network itself")
	case a.Is4() && a == last(subnet):
		return errors.New("it is the broadcast address")
	}
	return nil
}
