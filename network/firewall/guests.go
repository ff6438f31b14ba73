package firewall

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// setGuests holds bridge . address of containers that may reach the host's
// loopback.
const setGuests = "guests"

func guestSet(list []Guest) set {
	s := set{name: setGuests, key: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)}
	for _, g := range list {
		s.add(fmt.Sprintf("%q . %s", g.Bridge, g.Addr), slices.Concat(bridgeKey(g.Bridge), g.Addr.AsSlice()), nil)
	}
	return s
}

// guestsToLoopback leads what a guest sends to its gateway on to 127.0.0.1, at
// the same port; published ports are led elsewhere before. That the kernel takes
// it there is route_localnet of the bridge.
func guestsToLoopback() rule {
	return join(ipv4(), rule{"iifname . ip saddr @" + setGuests, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), header(reg2, offsetSource, 4),
		&expr.Lookup{SourceRegister: reg1, SetName: setGuests},
	}}, toHost(), rule{"iifname . ip daddr @" + setOwn, []expr.Any{
		meta(expr.MetaKeyIIFNAME, reg1), header(reg2, offsetDest, 4),
		&expr.Lookup{SourceRegister: reg1, SetName: setOwn},
	}}, rule{"dnat ip to 127.0.0.1", []expr.Any{
		&expr.Immediate{Register: reg1, Data: []byte{127, 0, 0, 1}},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1},
	}})
}
