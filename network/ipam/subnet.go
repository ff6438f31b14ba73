package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrExhausted is what Subnet and Next wrap when nothing free is left.
var ErrExhausted = errors.New("nothing free is left")

// Pool is a range from which networks get equal subnets.
type Pool struct {
	// Base is the whole range, for example 10.128.0.0/9 or fd12:3456:789a::/48.
	Base netip.Prefix
	// Bits is the prefix length of each subnet, Base.Bits() to 29; to 120 in
	// IPv6.
	Bits int
}

// UniqueLocal is the pool of IPv6 subnets of one host (RFC 4193): fd00::/8 and
// 40 bits that are drawn once, of which Subnet takes a /64 at a time.
func UniqueLocal(drawn [5]byte) Pool {
	a := [16]byte{0: 0xfd}
	copy(a[1:], drawn[:])
	return Pool{Base: netip.PrefixFrom(netip.AddrFrom16(a), 48), Bits: 64}
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
	end := smallest
	if p.Base.Addr().Is6() {
		end = smallest6
	}
	if p.Bits < p.Base.Bits() || p.Bits > end {
		return fmt.Errorf("cannot use address pool %s: subnet size /%d is not between /%d and /%d",
			p.Base, p.Bits, p.Base.Bits(), end)
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
	ordered := inOrder(used)
	for _, p := range pools {
		if err := p.Check(); err != nil {
			return netip.Prefix{}, err
		}
		if s, ok := p.first(ordered); ok {
			return s, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("cannot choose a subnet: every subnet of %s is routed or in use: %w",
		poolNames(pools), ErrExhausted)
}

// first walks the pool upwards and, beside it, what is used, in order: each used
// prefix is jumped over once.
func (p Pool) first(used []netip.Prefix) (netip.Prefix, bool) {
	base := p.Base.Masked()
	candidate := netip.PrefixFrom(base.Addr(), p.Bits)
	for _, u := range used {
		if u.Addr().Is4() != base.Addr().Is4() || last(u).Less(candidate.Addr()) {
			continue
		}
		if last(candidate).Less(u.Addr()) {
			break // and all that follow
		}
		hit := u
		if u.Bits() > p.Bits {
			hit = candidate
		}
		candidate = netip.PrefixFrom(last(hit).Next(), p.Bits)
		if !base.Contains(candidate.Addr()) {
			return netip.Prefix{}, false
		}
	}
	return candidate, true
}

// inOrder are the prefixes by their first address, without default routes.
func inOrder(used []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, u := range used {
		if u.IsValid() && u.Bits() > 0 {
			out = append(out, u.Masked())
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	return out
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
// subnet that a user named: a gateway and one container. smallest6 is both in
// IPv6.
const (
	smallest      = 29
	smallestNamed = 30
	smallest6     = 120
)

// checkPrefix says why p cannot be the subnet of a network.
func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("it is not an address range like 10.5.0.0/24 or fd00:5::/64")
	case p.Addr().Is4In6():
		return errors.New("it is an IPv4 range in the dress of IPv6")
	case p != p.Masked():
		return fmt.Errorf("bits are set behind the prefix length; %s is the range", p.Masked())
	}
	return nil
}

// last is the highest address of a prefix; in IPv4 the broadcast address.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		if free := 8*(i+1) - p.Bits(); free > 0 {
			b[i] |= byte(0xff >> max(0, 8-free))
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
