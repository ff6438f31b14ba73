package engine

import (
	"fmt"
	"net/netip"

	"github.com/mycompose/mycompose/network/ipam"
)

// subnetBits is the prefix length of the subnets out of a pool that a user
// named; a smaller pool is one subnet.
const subnetBits = 24

// Pools turns the setting address_pool, IPv4 in CIDR form, into Config.Pools;
// "" is the default ones.
func Pools(base string) ([]ipam.Pool, error) {
	if base == "" {
		return nil, nil
	}
	prefix, err := netip.ParsePrefix(base)
	if err != nil {
		return nil, fmt.Errorf("cannot use address pool %s: %w", base, err)
	}
	pool := ipam.Pool{Base: prefix, Bits: max(subnetBits, prefix.Bits())}
	if err := pool.Check(); err != nil {
		return nil, fmt.Errorf("cannot use address pool %s: %w", base, err)
	}
	return []ipam.Pool{pool}, nil
}
