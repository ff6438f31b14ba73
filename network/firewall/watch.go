package firewall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Notice says what somebody changed in the host's nf_tables.
type Notice struct {
	// Ours: something of our table, or of the one that closes the router, was
	// deleted. It may have been us.
	Ours bool
	// Others: chains or tables of others came or went, or rules of theirs
	// were deleted.
	Others bool
}

// settling is how long changes of others are collected before they are told,
// as a firewall that is loaded makes hundreds. What concerns our own table is
// told at once.
const settling = 50 * time.Millisecond

// Watch calls tell for changes of the host's nf_tables until ctx ends, which
// is no error. Its first call says that all may have changed, since nobody
// watched before it.
func (t *Table) Watch(ctx context.Context, tell func(Notice)) error {
	c, err := subscribe(t)
	if err != nil {
		return fmt.Errorf("cannot watch the host's rules: %w", explain(err))
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	tell(Notice{Ours: true, Others: true})
	name := TableName(t.tag)
	var pending Notice
	for {
		wait := time.Time{}
		if pending.Others {
			wait = time.Now().Add(settling)
		}
		_ = c.SetReadDeadline(wait)
		messages, err := c.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more than we could read
			pending = Notice{Ours: true, Others: true}
		case isTimeout(err):
			tell(pending)
			pending = Notice{}
		case err != nil:
			return fmt.Errorf("cannot watch the host's rules: %w", err)
		}
		for _, m := range messages {
			n := judge(m, name)
			pending.Ours, pending.Others = pending.Ours || n.Ours, pending.Others || n.Others
		}
		if pending.Ours {
			tell(Notice{Ours: true})
			pending.Ours = false
		}
	}
}

func subscribe(t *Table) (*netlink.Conn, error) {
	config := &netlink.Config{}
	if t.ns != nil {
		config.NetNS = int(t.ns.Fd())
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		return nil, err
	}
	err = errors.Join(c.SetReadBuffer(buffer), c.JoinGroup(unix.NFNLGRP_NFTABLES))
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// judge says what one message means for the table of that name. The name of
// the table is attribute 1 in all of the kinds asked for
// (linux/netfilter/nf_tables.h).
func judge(m netlink.Message, name string) Notice {
	const subsystem = unix.NFNL_SUBSYS_NFTABLES << 8
	const nfgenSize, attrTable = 4, 1
	kind := int(m.Header.Type)
	if kind&^0xff != subsystem || len(m.Data) < nfgenSize {
		return Notice{}
	}
	deleted, changed := false, false
	switch kind & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE:
		deleted, changed = true, true
	case unix.NFT_MSG_DELSET:
		deleted = true
	case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_NEWCHAIN:
		changed = true
	default:
		return Notice{}
	}
	table := ""
	each(m.Data[nfgenSize:], func(attr uint16, v []byte) {
		if attr == attrTable {
			table = cString(v)
		}
	})
	if table == name+shieldSuffix {
		return Notice{} // only we can do anything to it
	}
	if table == name || table == closedTable || table == closedTable6 {
		return Notice{Ours: deleted}
	}
	return Notice{Others: changed}
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// Stands reports whether the table has all of its chains and rules; elements
// are not looked at.
func (t *Table) Stands() (bool, error) {
	name, whole := TableName(t.tag), false
	err := t.transact(func(c *nftables.Conn) error {
		all, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		rules := map[string]int{}
		for _, chain := range all {
			if chain.Table.Name != name {
				continue
			}
			found, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			rules[chain.Name] = len(found)
		}
		whole = true
		for _, want := range chains(0) { // of any group: as many rules
			n, ok := rules[want.name]
			whole = whole && ok && n == len(want.rules)
		}
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil // it went while we looked
	}
	if err != nil {
		return false, fmt.Errorf("cannot look at table %s: %w", name, err)
	}
	return whole, nil
}
