package firewall

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// ErrUnsupported means that the kernel has no nf_tables.
var ErrUnsupported = errors.New("this kernel has no nf_tables (CONFIG_NF_TABLES)")

// ErrMissing means that the table is not there, as after somebody's
// `nft flush ruleset`: Ensure brings it back.
var ErrMissing = errors.New("the table is not there")

// Table is the table of one engine in one network namespace. Its methods may
// be called from several goroutines; each is one transaction, which the kernel
// takes whole or not at all.
type Table struct {
	tag string
	ns  *os.File

	mu   sync.Mutex     // one transaction at a time
	conn *nftables.Conn // nil after an error: its socket may hold stale answers
}

// Open gives the table of the engine with this tag; it writes nothing. ns is
// the namespace of the host, nil for the process's own; it must stay open.
func Open(tag string, ns *os.File) *Table { return &Table{tag: tag, ns: ns} }

// Close frees the socket; the table stays.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	err := t.conn.CloseLasting()
	t.conn = nil
	return err
}

// Ensure makes the table hold exactly s, replacing whatever it held, in one
// transaction. Connections that stand are not touched.
func (t *Table) Ensure(s State) error {
	rules, err := Rules(t.tag, s)
	if err != nil {
		return err
	}
	err = t.transact(func(c *nftables.Conn) error { return replace(c, rules) })
	if err != nil {
		return fmt.Errorf("cannot write table %s: %w", rules.name, err)
	}
	return nil
}

// Change takes elements out and puts others in, in that order and in one
// transaction. Taking out what is missing and putting in what is there are
// success. It fails with ErrMissing if the table is gone, and with an error if
// a port in add leads elsewhere already.
func (t *Table) Change(add, remove State) error {
	put, err := Rules(t.tag, add)
	if err != nil {
		return err
	}
	take, err := Rules(t.tag, remove)
	if err != nil {
		return err
	}
	err = t.transact(func(c *nftables.Conn) error {
		for i, s := range take.sets {
			// An element that is missing is added first, as there is
			// no "delete if there" before Linux 6.3.
			if err := eachChunk(take, i, s.elems, c.SetAddElements, c.SetDeleteElements); err != nil {
				return err
			}
		}
		for i, s := range put.sets {
			if err := eachChunk(put, i, s.elems, c.SetAddElements); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		err = ErrMissing
	}
	if err != nil {
		return fmt.Errorf("cannot change table %s: %w", put.name, err)
	}
	return nil
}

// Remove deletes the table and all in it; a missing one is success.
func (t *Table) Remove() error {
	table := &nftables.Table{Name: TableName(t.tag), Family: nftables.TableFamilyINet}
	err := t.transact(func(c *nftables.Conn) error {
		c.AddTable(table)
		c.DelTable(table)
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot remove table %s: %w", table.Name, err)
	}
	return nil
}

// transact collects messages and sends them as one transaction.
func (t *Table) transact(collect func(*nftables.Conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		c, err := dial(t.ns)
		if err != nil {
			return err
		}
		t.conn = c
	}
	err := collect(t.conn)
	if err == nil {
		err = fault.Errno("firewall:flush")
	}
	if err == nil {
		err = t.conn.Flush()
		fault.Point("firewall:flushed")
	}
	if err != nil {
		_ = t.conn.CloseLasting()
		t.conn = nil
	}
	return explain(err)
}

// buffer holds one large transaction, and the answers to it: a few thousand
// elements.
const buffer = 4 << 20

func dial(ns *os.File) (*nftables.Conn, error) {
	opts := []nftables.ConnOption{
		nftables.AsLasting(),
		nftables.WithSockOptions(func(c *netlink.Conn) error {
			return errors.Join(c.SetReadBuffer(buffer), c.SetWriteBuffer(buffer))
		}),
	}
	if ns != nil {
		opts = append(opts, nftables.WithNetNSFd(int(ns.Fd())))
	}
	c, err := nftables.New(opts...)
	return c, explain(err)
}

func explain(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return ErrUnsupported
	}
	return err
}

// replace writes a whole table in place of the one of its name. Adding before
// deleting makes the delete succeed when there is none.
func replace(c *nftables.Conn, r Ruleset) error {
	table := &nftables.Table{Name: r.name, Family: r.family}
	c.AddTable(table)
	c.DelTable(table)
	return create(c, r)
}

// create writes a whole table, and fails with EEXIST if there is one. It is
// much faster than replace, whose deletion waits for an RCU grace period.
func create(c *nftables.Conn, r Ruleset) error {
	table := c.CreateTable(&nftables.Table{Name: r.name, Family: r.family})
	for i, s := range r.sets {
		if err := c.AddSet(r.handle(i), nil); err != nil {
			return err
		}
		if err := eachChunk(r, i, s.elems, c.SetAddElements); err != nil {
			return err
		}
	}
	for _, ch := range r.chains {
		made := &nftables.Chain{Name: ch.name, Table: table, Type: ch.kind}
		if ch.hook != nil {
			made.Hooknum, made.Priority = ch.hook, &ch.priority
		}
		added := c.AddChain(made)
		for _, rule := range ch.rules {
			c.AddRule(&nftables.Rule{Table: table, Chain: added, Exprs: rule.exprs})
		}
	}
	return nil
}

// handle is the i-th set as the library wants it. Set ids count within one
// transaction.
func (r Ruleset) handle(i int) *nftables.Set {
	s := r.sets[i]
	var order binaryutil.ByteOrder
	if s.key == nftables.TypeIFName {
		order = binaryutil.NativeEndian // only for nft's listing
	}
	return &nftables.Set{
		KeyByteOrder: order,

		Table:   &nftables.Table{Name: r.name, Family: r.family},
		ID:      uint32(i + 1),
		Name:    s.name,
		KeyType: s.key, DataType: s.value, IsMap: s.isMap(),
		Interval: s.ranges, Concatenation: s.ranges,
	}
}

// chunk is how many elements go in one message: the list is one netlink
// attribute, which ends at 64 KiB.
const chunk = 400

// eachChunk calls the actions, in order, for each chunk of the elements.
func eachChunk(r Ruleset, i int, elems []element, actions ...func(*nftables.Set, []nftables.SetElement) error) error {
	for part := range slices.Chunk(elems, chunk) {
		list := make([]nftables.SetElement, len(part))
		for k, e := range part {
			list[k] = nftables.SetElement{Key: e.key, KeyEnd: e.keyEnd, Val: e.value}
		}
		for _, action := range actions {
			if err := action(r.handle(i), list); err != nil {
				return err
			}
		}
	}
	return nil
}
