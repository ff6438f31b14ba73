package firewall

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Flags of linux/netfilter/nf_tables.h. NFT_TABLE_F_OWNER (Linux 5.12): the table
// goes with the socket that made it, and nobody else changes or flushes it. With
// NFT_TABLE_F_PERSIST (6.9) it stays, without an owner.
const (
	tableOwned    = 2
	tablePersists = 4
)

// notOwned reports whether an error means that there can be no such table: the
// kernel has none, or one that was made otherwise is in its place.
func notOwned(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// shieldSuffix makes the shield's name of the table's.
const shieldSuffix = "_shield"

// ShieldRules keep the host's own 127/8 from what comes in by a link, as Rules
// do. Bridges of ours let such packets pass (route_localnet), so that it would be
// open to containers while the table of Rules is gone.
func ShieldRules(tag string) Ruleset {
	return Ruleset{
		name: TableName(tag) + shieldSuffix, family: nftables.TableFamilyINet, owned: true,
		chains: []chain{{
			name: "raw", kind: nftables.ChainTypeFilter,
			hook: nftables.ChainHookPrerouting, priority: *nftables.ChainPriorityRaw,
			rules: []rule{join(notFromLo(), daddrLoopback(), drop())},
		}},
	}
}

// Shield writes ShieldRules into the namespace of the calling thread, in a table
// that "nft flush ruleset" leaves alone. It stands while the socket, or a
// duplicate of it, is open; the last close waits for an RCU grace period. The
// socket is nil where there can be none: the kernel has no tables with an owner
// (before Linux 5.12), or the table stands by somebody else's socket.
func Shield(tag string) (*os.File, error) {
	b, err := tableBatch(ShieldRules(tag), false)
	if err != nil {
		return nil, err
	}
	socket, err := b.sendAndHold()
	if err == nil {
		return socket, nil
	}
	if notOwned(err) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	return nil, fmt.Errorf("cannot write table %s: %w", TableName(tag)+shieldSuffix, err)
}
