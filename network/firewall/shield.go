package firewall

import (
	"errors"
	"fmt"
	"os"
	"slices"

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

// ShieldRules keep shut, while the table of Rules is gone, what it keeps shut: the
// host's own 127/8, which bridges of ours let pass (route_localnet), from what comes
// in by a link; and our networks, whose bridges are of the link group, from each
// other and from elsewhere; internal ones from what is outside of them; and the
// networks of other engines from ours, also where chains of theirs let ours
// through (Table.Admit). What is translated was let in by Rules, or by the other
// engine. The sets are those of Rules.
func ShieldRules(tag string, s Shielded) (Ruleset, error) {
	group, err := LinkGroup(tag)
	return Ruleset{
		name: TableName(tag) + shieldSuffix, family: nftables.TableFamilyINet, owned: true,
		sets: shieldSets(s),
		chains: []chain{
			{
				name: "input", kind: nftables.ChainTypeFilter,
				hook: nftables.ChainHookInput, priority: *nftables.ChainPriorityRaw,
				rules: []rule{join(translatedAnyhow(), accept()), join(notFromLo(), daddrLoopback(), drop())},
			},
			{
				name: "forward", kind: nftables.ChainTypeFilter,
				hook: nftables.ChainHookForward, priority: *nftables.ChainPriorityFilter,
				rules: []rule{
					join(established(), accept()),
					join(sameBridge(), accept()),
					join(from(setInternal), drop()),
					join(to(setInternal), drop()),
					join(fromOurs(group), to(setStrangers), translated(), accept()),
					join(fromOurs(group), to(setStrangers), drop()),
					join(notToOurs(group), accept()),
					join(translated(), accept()),
					drop(),
				},
			},
		},
	}, err
}

// Shielded is what a shield is for.
type Shielded struct {
	Networks []Network
	// Strangers are bridges of other engines.
	Strangers []string
}

func shieldSets(s Shielded) []set {
	return []set{sameSet(s.Networks), internalSet(s.Networks), strangerSet(s.Strangers)}
}

func internalSet(networks []Network) set {
	s := set{name: setInternal, key: nftables.TypeIFName}
	for _, n := range networks {
		if n.Internal {
			s.add(fmt.Sprintf("%q", n.Bridge), bridgeKey(n.Bridge), nil)
		}
	}
	s.sort()
	return s
}

func sameSet(networks []Network) set {
	s := set{name: setSame, key: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName)}
	for _, n := range networks {
		if !n.NoICC {
			name, quoted := bridgeKey(n.Bridge), fmt.Sprintf("%q", n.Bridge)
			s.add(quoted+" . "+quoted, slices.Concat(name, name), nil)
		}
	}
	s.sort()
	return s
}

// Why there can be no shield.
var (
	// ErrNoOwner lasts.
	ErrNoOwner = errors.New("this kernel has no tables with an owner (before Linux 5.12)")
	// ErrOwned may be over a moment later: who is ending has the socket yet.
	ErrOwned = errors.New("the table stands by another socket")
)

// Shield writes ShieldRules into the namespace of the calling thread, in a table
// that "nft flush ruleset" leaves alone; one of that name without an owner, as
// restored from a listing, is replaced. It stands while the socket, or a duplicate
// of it, is open, and until DropShield. It fails with ErrNoOwner or ErrOwned where
// there can be none.
func Shield(tag string, s Shielded) (socket *os.File, err error) {
	rules, err := ShieldRules(tag, s)
	if err != nil {
		return nil, err
	}
	err = writeRules(rules, func(b *batch) (err error) {
		socket, err = b.sendAndHold()
		return err
	})
	switch {
	case notOwned(err):
		err = ErrNoOwner
	case errors.Is(err, unix.EPERM):
		err = ErrOwned
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write table %s: %w", rules.name, err)
	}
	return socket, nil
}

// DropShield takes the table away, whoever has a duplicate of the socket; the last
// close of it may still wait for an RCU grace period.
func DropShield(socket *os.File, tag string) error {
	name := TableName(tag) + shieldSuffix
	b, err := dropBatch(Ruleset{name: name, family: nftables.TableFamilyINet})
	if err == nil {
		err = b.sendAgain(int(socket.Fd()))
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot remove table %s: %w", name, err)
	}
	return nil
}

// ChangeShield has the shield be for more, and for less. What is there, or is not,
// is no error. socket is that of Shield.
func ChangeShield(socket *os.File, tag string, add, remove Shielded) error {
	rules, err := ShieldRules(tag, Shielded{})
	if err != nil {
		return err
	}
	b, err := changeBatch(rules, shieldSets(add), shieldSets(remove))
	if err == nil && b != nil {
		err = b.sendAgain(int(socket.Fd()))
	}
	if err != nil {
		return fmt.Errorf("cannot change table %s: %w", rules.name, err)
	}
	return nil
}
