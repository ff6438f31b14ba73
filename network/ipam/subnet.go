package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrExhausted is what Subnet and Next wrap when nothing free is left.
var ErrExhausted = errors.New("nothing free is left")

// Pool is a range from which networks get equal subnets.
type Pool struct {
	// Base is the whole range, IPv4, for example 10.128.0.0/9.
	Base netip.Prefix
	// Bits is the prefix length of each subnet, Base.Bits() to 29.
	Bits int
}

// DefaultPools are tried in order: a large one that few sites route, then the
// two other private ranges for hosts whose VPN has taken all of 10.0.0.0/8.
func DefaultPools() []Pool {
	return []Pool{
		{Base: netip.MustParsePrefix("10.128.0.0/9"), Bits: 24},
		{Base: netip.MustParsePrefix("172.16.0.0/12"), Bits: 24},
		{Base: netip.MustParsePrefix("192.168.0.0/16"), Bits: 24},
	}
}

// Check says why a pool cannot be used.
func (p Pool) Check() error {
	if err := checkPrefix(p.Base); err != nil {
		return fmt.Errorf("cannot use address pool %s: %w", p.Base, err)
	}
	if p.Bits < p.Base.Bits() || p.Bits > smallest {
		return fmt.Errorf("cannot use address pool %s: subnet size /%d is not between /%d and /%d",
			p.Base, p.Bits, p.Base.Bits(), smallest)
	}
	return nil
}

// Subnet picks the first subnet of the pools that overlaps none of used, which
// are the subnets of our networks and the prefixes that the host routes. A
// default route (length 0) in used is ignored, as it covers everything.
func Subnet(pools []Pool, used []netip.Prefix) (netip.Prefix, error) {
	if len(pools) == 0 {
		return netip.Prefix{}, errors.New("cannot choose a subnet: no address pool is set")
	}
	for _, p := range pools {
		if err := p.Check(); err != nil {
			return netip.Prefix{}, err
		}
		if s, ok := p.first(used); ok {
			return s, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("cannot choose a subnet: every subnet of %s is routed or in use: %w",
		poolNames(pools), ErrExhausted)
}

// first walks the pool upwards and jumps over each used prefix in one step.
func (p Pool) first(used []netip.Prefix) (netip.Prefix, bool) {
	base := p.Base.Masked()
	at := base.Addr()
	for at.IsValid() && base.Contains(at) {
		candidate := netip.PrefixFrom(at, p.Bits)
		hit, taken := overlapping(candidate, used)
		if !taken {
			return candidate, true
		}
		if hit.Bits() > p.Bits {
			hit = candidate
		}
		at = last(hit).Next()
	}
	return netip.Prefix{}, false
}

func overlapping(p netip.Prefix, used []netip.Prefix) (netip.Prefix, bool) {
	for _, u := range used {
		if u.IsValid() && u.Bits() > 0 && u.Overlaps(p) {
			return u.Masked(), true
		}
	}
	return netip.Prefix{}, false
}

func poolNames(pools []Pool) string {
	s := ""
	for i, p := range pools {
		if i > 0 {
			s += ", "
		}
		s += p.Base.String()
	}
	return s
}

// smallest is the longest prefix that a pool gives away, smallestNamed that of a
// subnet that a user named: a gateway and one container.
const (
	smallest      = 29
	smallestNamed = 30
)

// checkPrefix says why p cannot be the subnet of a bridge network.
func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("it is not an address range like 10.5.0.0/24")
	case !p.Addr().Is4():
		return errors.New("IPv6 is not supported yet")
	case p != p.Masked():
		return fmt.Errorf("bits are set behind the prefix length; %s is the range", p.Masked())
	}
	return nil
}

// last is the highest address of an IPv4 prefix: the broadcast address.
func last(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n |= host
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
