package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Ruleset is a whole table: what Table writes and what String prints.
type Ruleset struct {
	name   string
	family nftables.TableFamily
	owned  bool // by the socket that writes it
	// persists says that it stays when its owner goes, for the next to own.
	persists bool
	sets     []set
	chains   []chain
}

func (r Ruleset) flags() uint32 {
	var f uint32
	if r.owned {
		f |= tableOwned
	}
	if r.persists {
		f |= tablePersists
	}
	return f
}

type set struct {
	name  string
	key   nftables.SetDatatype
	value nftables.SetDatatype // zero: not a map
	// ranges sets hold from key to keyEnd in each element.
	ranges bool
	elems  []element
}

type element struct {
	text       string
	key, value []byte
	keyEnd     []byte
}

// chain is the kernel's to call at its hook or, without one, that of a rule.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority nftables.ChainPriority
	rules    []rule
}

// rule is its nft text and the same for the kernel.
type rule struct {
	text  string
	exprs []expr.Any
}

// The names of sets and maps.
const (
	setInternal    = "internal"
	setSame        = "same"
	setMasked      = "masked"
	setOwn         = "own"
	setSubnets     = "subnets"
	mapPublished   = "published"
	mapPublishedOn = "published_on"
)

// tablePrefix begins the names of all tables of ours.
const tablePrefix = "mycompose_"

// LinkGroup is the link group of an engine's bridges: the tag as a number. By it
// the rules, and other engines, know bridges with a name of their user's too. It
// is above 1, since links that nobody has put into a group are in group 0, and an
// engine has a second group beside its own, with the last bit turned.
func LinkGroup(tag string) (uint32, error) {
	n, err := strconv.ParseUint(tag, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no tag of 8 hex digits", tag)
	}
	if n < 2 {
		n |= 1 << 31
	}
	return uint32(n), nil
}

// TableName is the table of the engine with this tag.
func TableName(tag string) string { return tablePrefix + tag }

// Rules is the table for a state. Equal states give equal rulesets.
func Rules(tag string, s State) (Ruleset, error) {
	if err := s.check(); err != nil {
		return Ruleset{}, err
	}
	group, err := LinkGroup(tag)
	if err != nil {
		return Ruleset{}, err
	}
	return Ruleset{
		name:   TableName(tag),
		family: nftables.TableFamilyINet,
		sets:   sets(s),
		chains: chains(group),
	}, nil
}

// sets holds the state; the kernel sees it as elements only.
func sets(s State) []set {
	out := []set{
		internalSet(s.Networks),
		sameSet(s.Networks),
		{name: setOwn, key: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr), ranges: true},
		{name: setSubnets, key: nftables.MustConcatSetType(nftables.TypeNFProto, nftables.TypeIPAddr), ranges: true},
		{
			name:  mapPublished,
			key:   nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
			value: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
		},
		{
			name:  mapPublishedOn,
			key:   nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeIPAddr, nftables.TypeInetService),
			value: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
		},
		{name: setMasked, key: nftables.TypeIFName},
	}
	six := len(out)
	out = append(append(out, sets6()...), guestSet(s.Guests), strangerSet(s.Strangers))
	own, subnets := &out[2], &out[3]
	published, publishedOn, masked := &out[4], &out[5], &out[6]
	for _, n := range s.Networks {
		name := bridgeKey(n.Bridge)
		quoted := fmt.Sprintf("%q", n.Bridge)
		if !n.NoMasquerade {
			masked.add(quoted, name, nil)
		}
		if n.Subnet.Addr().Is6() {
			addNetwork6(out[six:], n)
			continue
		}
		first, last := bounds(n.Subnet)
		own.elems = append(own.elems, element{
			text: quoted + " . " + n.Subnet.String(),
			key:  slices.Concat(name, first), keyEnd: slices.Concat(name, last),
		})
		family := []byte{unix.NFPROTO_IPV4, 0, 0, 0}
		subnets.elems = append(subnets.elems, element{
			text: "ipv4 . " + n.Subnet.String(),
			key:  slices.Concat(family, first), keyEnd: slices.Concat(family, last),
		})
	}
	for _, p := range s.Ports {
		if p.Target.Addr().Is6() {
			addPort6(out[six:], p)
			continue
		}
		target := p.Target.Addr().As4()
		value := slices.Concat(target[:], portKey(p.Target.Port()))
		proto := []byte{byte(p.Protocol), 0, 0, 0}
		leads := fmt.Sprintf(" : %s . %d", p.Target.Addr(), p.Target.Port())
		if p.everywhere() {
			published.add(fmt.Sprintf("%s . %d%s", p.Protocol, p.HostPort, leads),
				slices.Concat(proto, portKey(p.HostPort)), value)
			continue
		}
		host := p.Host.As4()
		publishedOn.add(fmt.Sprintf("%s . %s . %d%s", p.Protocol, p.Host, p.HostPort, leads),
			slices.Concat(proto, host[:], portKey(p.HostPort)), value)
	}
	for i := range out {
		out[i].sort()
	}
	return out
}

func (s *set) add(text string, key, value []byte) {
	s.elems = append(s.elems, element{text: text, key: key, value: value})
}

// sort orders the elements by key and drops equal ones.
func (s *set) sort() {
	slices.SortFunc(s.elems, func(a, b element) int { return slices.Compare(a.key, b.key) })
	s.elems = slices.CompactFunc(s.elems, func(a, b element) bool { return slices.Equal(a.key, b.key) })
}

func (s *set) isMap() bool { return s.value.Bytes > 0 }

// portKey is a port as part of a concatenation: network order, padded to four.
func portKey(port uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, port), 0, 0) }

// bridgeKey is a link name as nf_tables compares it: 16 bytes.
func bridgeKey(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}

// bounds are the first and the last address of an IPv4 subnet.
func bounds(p netip.Prefix) (first, last []byte) {
	a := p.Addr().As4()
	n := binary.BigEndian.Uint32(a[:]) | uint32(uint64(1)<<(32-p.Bits())-1)
	return a[:], binary.BigEndian.AppendUint32(nil, n)
}
