package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestSubnet(t *testing.T) {
	small := []Pool{{Base: netip.MustParsePrefix("10.0.0.0/22"), Bits: 24}}
	for _, c := range []struct {
		name  string
		pools []Pool
		used  []netip.Prefix
		want  string
	}{
		{"nothing used gives the first", small, nil, "10.0.0.0/24"},
		{"a used one is skipped", small, prefixes("10.0.0.0/24"), "10.0.1.0/24"},
		{"a smaller used one blocks all of its subnet", small, prefixes("10.0.0.128/30"), "10.0.1.0/24"},
		{"a larger used one is jumped over", small, prefixes("10.0.0.0/23"), "10.0.2.0/24"},
		{"a hole is found", small, prefixes("10.0.0.0/24", "10.0.2.0/24"), "10.0.1.0/24"},
		{"a default route blocks nothing", small, prefixes("0.0.0.0/0"), "10.0.0.0/24"},
		{"a full pool leads to the next", append(small, Pool{netip.MustParsePrefix("172.16.0.0/12"), 20}),
			prefixes("10.0.0.0/8"), "172.16.0.0/20"},
		{"the end of the address space ends the search",
			[]Pool{{netip.MustParsePrefix("255.255.255.0/24"), 25}, small[0]}, prefixes("255.255.255.0/24"), "10.0.0.0/24"},
		{"our own pools avoid a VPN over 10/8", DefaultPools(), prefixes("10.0.0.0/8"), "172.16.0.0/24"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Subnet(c.pools, c.used)
			if err != nil || got.String() != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestSubnetFailsClearly(t *testing.T) {
	ten := netip.MustParsePrefix("10.0.0.0/8")
	for name, c := range map[string]struct {
		pools []Pool
		used  []netip.Prefix
		want  string
	}{
		"no pools":               {nil, nil, "no address pool is set"},
		"all in use":             {[]Pool{{ten, 24}}, prefixes("10.0.0.0/7"), "10.0.0.0/8 is routed or in use"},
		"too small subnets":      {[]Pool{{ten, 30}}, nil, "not between /8 and /29"},
		"larger than the pool":   {[]Pool{{ten, 7}}, nil, "not between /8 and /29"},
		"bits behind the length": {[]Pool{{netip.MustParsePrefix("10.1.0.0/8"), 24}}, nil, "10.0.0.0/8 is the range"},
		"too small IPv6 subnets": {[]Pool{{netip.MustParsePrefix("fd00::/8"), 121}}, nil, "not between /8 and /120"},
		"IPv4 in IPv6":           {[]Pool{{netip.MustParsePrefix("::ffff:10.0.0.0/104"), 120}}, nil, "in the dress of IPv6"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Subnet(c.pools, c.used); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestManySubnetsDoNotOverlap takes all of a pool.
func TestManySubnetsDoNotOverlap(t *testing.T) {
	pool := []Pool{{Base: netip.MustParsePrefix("10.128.0.0/16"), Bits: 24}}
	var used []netip.Prefix
	for {
		s, err := Subnet(pool, used)
		if errors.Is(err, ErrExhausted) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(used, s.Overlaps) {
			t.Fatalf("%s overlaps", s)
		}
		used = append(used, s)
	}
	if len(used) != 256 {
		t.Errorf("got %d subnets, want 256", len(used))
	}
}

func TestResolve(t *testing.T) {
	subnet := netip.MustParsePrefix("10.5.0.0/24")
	got, err := Resolve(Config{Subnet: subnet, Range: netip.MustParsePrefix("10.5.0.128/25")})
	if err != nil || got.Gateway != netip.MustParseAddr("10.5.0.1") {
		t.Errorf("got %+v, %v", got, err)
	}
	a := netip.MustParseAddr
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no subnet":                {Config{}, "not an address range"},
		"IPv6 with host bits":      {Config{Subnet: netip.MustParsePrefix("fd00::1/64")}, "fd00::/64 is the range"},
		"IPv6 without room":        {Config{Subnet: netip.MustParsePrefix("fd00::/126")}, "smaller than /120"},
		"IPv6 multicast":           {Config{Subnet: netip.MustParsePrefix("ff02::/64")}, "another meaning in IPv6"},
		"bits behind the length":   {Config{Subnet: netip.MustParsePrefix("10.5.0.1/24")}, "10.5.0.0/24 is the range"},
		"too small":                {Config{Subnet: netip.MustParsePrefix("10.5.0.0/31")}, "smaller than /30"},
		"too large":                {Config{Subnet: netip.MustParsePrefix("10.0.0.0/7")}, "larger than /8"},
		"loopback":                 {Config{Subnet: netip.MustParsePrefix("127.0.0.0/8")}, "another meaning"},
		"gateway outside":          {Config{Subnet: subnet, Gateway: a("10.6.0.1")}, "gateway 10.6.0.1: it is not inside subnet 10.5.0.0/24"},
		"gateway is the network":   {Config{Subnet: subnet, Gateway: a("10.5.0.0")}, "address of the network itself"},
		"gateway is the broadcast": {Config{Subnet: subnet, Gateway: a("10.5.0.255")}, "broadcast"},
		"range outside":            {Config{Subnet: subnet, Range: netip.MustParsePrefix("10.6.0.0/25")}, "ip_range 10.6.0.0/25: it is not inside"},
		"range larger":             {Config{Subnet: subnet, Range: netip.MustParsePrefix("10.0.0.0/8")}, "not inside"},
		"reserved outside":         {Config{Subnet: subnet, Reserved: []netip.Addr{a("10.6.0.9")}}, "reserve address 10.6.0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Resolve(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	_, err = Resolve(Config{Subnet: subnet, Gateway: a("10.6.0.1"), Range: netip.MustParsePrefix("10.6.0.0/25")})
	if err == nil || strings.Count(err.Error(), "cannot use") != 2 {
		t.Errorf("two mistakes, but %v", err)
	}
}

func TestNext(t *testing.T) {
	a := netip.MustParseAddr
	c, err := Resolve(Config{Subnet: netip.MustParsePrefix("10.5.0.0/29"), Reserved: []netip.Addr{a("10.5.0.3")}})
	if err != nil {
		t.Fatal(err)
	}
	// Usable: .2 .4 .5 .6
	for _, x := range []struct {
		name string
		req  Request
		want string
	}{
		{"the first is behind the gateway", Request{}, "10.5.0.2"},
		{"a reserved one is skipped", Request{Last: a("10.5.0.2")}, "10.5.0.4"},
		{"upwards from the last, though lower ones are free", Request{Last: a("10.5.0.4")}, "10.5.0.5"},
		{"around at the end, past network and gateway", Request{Last: a("10.5.0.6")}, "10.5.0.2"},
		{"a last one from another subnet does not matter", Request{Last: a("10.9.0.6")}, "10.5.0.2"},
		{"a held one is skipped", Request{Held: map[string]netip.Addr{"x": a("10.5.0.2")}}, "10.5.0.4"},
		{"a key keeps its address", Request{Held: map[string]netip.Addr{"k": a("10.5.0.5")}, Last: a("10.5.0.2")}, "10.5.0.5"},
		{"but not one outside the subnet", Request{Held: map[string]netip.Addr{"k": a("10.6.0.5")}}, "10.5.0.2"},
		{"a recent one rests", Request{Recent: []netip.Addr{a("10.5.0.2"), a("10.5.0.4")}}, "10.5.0.5"},
		{
			"the longest at rest comes first when nothing else is free",
			Request{
				Held:   map[string]netip.Addr{"x": a("10.5.0.5"), "y": a("10.5.0.6")},
				Recent: []netip.Addr{a("10.5.0.4"), a("10.5.0.2")},
			}, "10.5.0.4",
		},
		{"a static one is honoured", Request{Static: a("10.5.0.6")}, "10.5.0.6"},
		{"also a reserved one, which the user set aside", Request{Static: a("10.5.0.3")}, "10.5.0.3"},
		{"a static one replaces what the key held", Request{Static: a("10.5.0.6"), Held: map[string]netip.Addr{"k": a("10.5.0.2")}}, "10.5.0.6"},
		{"and may be held by the key itself", Request{Static: a("10.5.0.6"), Held: map[string]netip.Addr{"k": a("10.5.0.6")}}, "10.5.0.6"},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.req.Key = "k"
			got, err := Next(c, x.req)
			if err != nil || got.String() != x.want {
				t.Errorf("got %s, %v, want %s", got, err, x.want)
			}
		})
	}
	var taken *TakenError
	_, err = Next(c, Request{Key: "k", Static: a("10.5.0.6"), Held: map[string]netip.Addr{"db-1": a("10.5.0.6")}})
	if !errors.As(err, &taken) || taken.Holder != "db-1" {
		t.Errorf("a static address of another: %v", err)
	}
	for addr, want := range map[string]string{
		"10.5.0.1": "gateway", "10.5.0.0": "network itself", "10.5.0.7": "broadcast", "10.6.0.1": "not inside",
	} {
		if _, err := Next(c, Request{Key: "k", Static: a(addr)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("static %s: %v, want %q", addr, err, want)
		}
	}
}

func TestARangeIsUsedUpAndThenExhausted(t *testing.T) {
	c, err := Resolve(Config{Subnet: netip.MustParsePrefix("10.5.0.0/24"), Range: netip.MustParsePrefix("10.5.0.252/30")})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]netip.Addr{}
	var got []string
	for _, key := range []string{"a", "b", "c"} {
		addr, err := Next(c, Request{Key: key, Held: held})
		if err != nil {
			t.Fatal(err)
		}
		held[key] = addr
		got = append(got, addr.String())
	}
	if want := []string{"10.5.0.252", "10.5.0.253", "10.5.0.254"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := Next(c, Request{Key: "d", Held: held}); !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "all of 10.5.0.252/30") {
		t.Errorf("got %v", err)
	}
}

func TestMAC(t *testing.T) {
	if got := MAC(netip.MustParseAddr("10.128.1.7")).String(); got != "02:42:0a:80:01:07" {
		t.Errorf("got %s", got)
	}
	if got := MAC(netip.MustParseAddr("fd00:0:0:1::2")).String(); got != "02:42:fd:00:00:03" {
		t.Errorf("got %s", got)
	}
	if got := MAC(netip.Addr{}); got != nil {
		t.Errorf("got %s for IPv6", got)
	}
}

func TestIPv6GoesTheSameWay(t *testing.T) {
	pool := UniqueLocal([5]byte{1, 2, 3, 4, 5})
	if pool.Base.String() != "fd01:203:405::/48" {
		t.Fatalf("pool %s", pool.Base)
	}
	used := prefixes("fd01:203:405::/64", "fd01:203:405:1::/72", "::/0", "10.0.0.0/8")
	subnet, err := Subnet([]Pool{pool}, used)
	if err != nil || subnet.String() != "fd01:203:405:2::/64" {
		t.Fatalf("subnet %s, %v", subnet, err)
	}
	c, err := Resolve(Config{Subnet: subnet})
	if err != nil || c.Gateway.String() != "fd01:203:405:2::1" {
		t.Fatalf("config %+v, %v", c, err)
	}
	a, err := Next(c, Request{Key: "a", Held: map[string]netip.Addr{}})
	if err != nil || a.String() != "fd01:203:405:2::2" {
		t.Fatalf("address %s, %v", a, err)
	}
	if end := last(c.Subnet); end.String() != "fd01:203:405:2:ffff:ffff:ffff:ffff" {
		t.Errorf("last address %s", end)
	}
}

func TestSeveralRangesFillUpInOrder(t *testing.T) {
	var configs []Config
	for _, p := range prefixes("10.1.0.0/30", "10.2.0.0/29") {
		c, err := Resolve(Config{Subnet: p})
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, c)
	}
	held := map[string]netip.Addr{}
	for _, want := range []string{"10.1.0.2", "10.2.0.2", "10.2.0.3"} {
		a, err := NextOf(configs, Request{Key: want, Held: held})
		if err != nil || a.String() != want {
			t.Fatalf("got %s, %v, want %s", a, err, want)
		}
		held[want] = a
	}
	if a, err := NextOf(configs, Request{Key: "10.2.0.3", Held: held}); err != nil || a.String() != "10.2.0.3" {
		t.Errorf("a held address became %s, %v", a, err)
	}
	if a, err := NextOf(configs, Request{Key: "x", Static: netip.MustParseAddr("10.2.0.6"), Held: held}); err != nil || a.String() != "10.2.0.6" {
		t.Errorf("static address %s, %v", a, err)
	}
	if _, err := NextOf(configs, Request{Key: "x", Static: netip.MustParseAddr("10.3.0.6"), Held: held}); err == nil {
		t.Error("an address of no range was given")
	}
	if a, err := NextOf(nil, Request{Key: "x"}); err != nil || a.IsValid() {
		t.Errorf("no range gave %s, %v", a, err)
	}
}
