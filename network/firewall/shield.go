package firewall

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// tableOwned is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h: the table goes
// with the socket that made it, and nobody else changes or flushes it.
const tableOwned = 2

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
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err == nil {
		err = b.sendOn(fd)
	}
	if err == nil {
		return os.NewFile(uintptr(fd), "shield"), nil
	}
	unix.Close(fd)
	for _, fine := range []error{unix.EPERM, unix.EOPNOTSUPP, unix.EINVAL} {
		if errors.Is(err, fine) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("cannot write table %s: %w", TableName(tag)+shieldSuffix, err)
}
