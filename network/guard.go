package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/network/firewall"
)

// The guard keeps networks shut while the firewall's table is gone, as after
// somebody's "nft flush ruleset", which leaves routing rules alone: a packet
// from elsewhere to a subnet of ours needs the mark that only the table sets.
//
//	1000: iif lo goto 1002                        the host itself
//	1001: fwmark 0/0x2000 lookup <engine's table>  not marked: a black hole
//	1002: nop
//
// The engine's table has one blackhole route per subnet, so that the number of
// rules does not grow. Rules and routes carry the protocol "kernel", as
// systemd-networkd removes what it takes for a leftover of its own. Both address families
// have the same. Replies to
// what containers ask outside need the mark too, and get it.
const (
	guardFirst = 1000
	guardMatch = 1001
	guardLast  = 1002
)

// Rule actions of linux/fib_rules.h.
const (
	ruleToTable = 1
	ruleGoto    = 2
	ruleNop     = 3
)

// fibRuleHeader is struct fib_rule_hdr.
type fibRuleHeader struct{ family, action uint8 }

func (fibRuleHeader) Len() int { return 12 }

func (h fibRuleHeader) Serialize() []byte {
	b := make([]byte, 12)
	b[0], b[7] = h.family, h.action
	return b
}

// guardTable is the number of an engine's routing table: its tag, outside of
// the range that people use.
func guardTable(tag string) (uint32, error) {
	n, err := LinkGroup(tag)
	return n | 1<<31, err
}

func rule(kind uint16, family, action uint8, priority uint32, parts ...nl.NetlinkRequestData) message {
	flags := uint16(0)
	if kind == unix.RTM_NEWRULE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	parts = append([]nl.NetlinkRequestData{
		fibRuleHeader{family, action}, numberAttr(unix.FRA_PRIORITY, priority),
		nl.NewRtAttr(unix.FRA_PROTOCOL, nl.Uint8Attr(unix.RTPROT_KERNEL)),
	}, parts...)
	return message{kind: kind, flags: flags, parts: parts}
}

func guardIn(kind uint16, family uint8) message {
	return rule(kind, family, ruleGoto, guardFirst, nl.NewRtAttr(unix.FRA_IIFNAME, nl.ZeroTerminated("lo")), numberAttr(unix.FRA_GOTO, guardLast))
}

func guardMark(kind uint16, family uint8, table uint32) message {
	return rule(kind, family, ruleToTable, guardMatch, numberAttr(unix.FRA_TABLE, table),
		numberAttr(unix.FRA_FWMARK, 0), numberAttr(unix.FRA_FWMASK, firewall.Mark))
}

func guardOut(kind uint16, family uint8) message { return rule(kind, family, ruleNop, guardLast) }

// families are those that the guard stands for.
func families() []uint8 { return []uint8{unix.AF_INET, unix.AF_INET6} }

// noRules reports whether an error means that the kernel has no routing rules of
// a family: then there is no such guard.
func noRules(err error) bool {
	return isErrno(err, unix.EOPNOTSUPP) || isErrno(err, unix.EAFNOSUPPORT)
}

// guard makes the rules stand; those that do are success.
func (h *Host) guard(tag string) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	for _, f := range families() {
		err := h.allow(unix.EEXIST, guardOut(unix.RTM_NEWRULE, f), guardIn(unix.RTM_NEWRULE, f), guardMark(unix.RTM_NEWRULE, f, table))
		if err != nil && !noRules(err) {
			return err
		}
	}
	return nil
}

// unguard takes out the engine's rule and routes, and for the last engine of
// the host the other rules.
func (h *Host) unguard(tag string, last bool) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range families() {
		msgs := []message{guardMark(unix.RTM_DELRULE, f, table)}
		if last {
			msgs = append(msgs, guardIn(unix.RTM_DELRULE, f), guardOut(unix.RTM_DELRULE, f))
		}
		if err := h.allow(unix.ENOENT, msgs...); !noRules(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, h.Guard(tag, nil))...)
}

// allow sends messages of which each may fail with errno.
func (h *Host) allow(errno unix.Errno, msgs ...message) error {
	if len(msgs) == 0 {
		return nil
	}
	errs, err := h.sock.each(msgs...)
	for _, e := range errs {
		if e != nil && e.errno != errno && err == nil {
			err = e
		}
	}
	return err
}

// Guard makes exactly these subnets of the engine unreachable for packets that
// do not carry firewall.Mark, but for the host's own. It takes effect between
// HostLock.Forward and HostLock.Release.
func (h *Host) Guard(tag string, subnets []netip.Prefix) error {
	if err := h.setGuard(tag, subnets); err != nil {
		return fmt.Errorf("cannot guard the networks' subnets: %w", err)
	}
	return nil
}

// GuardMore guards further subnets; those that are guarded are success. It costs
// the same however many there are.
func (h *Host) GuardMore(tag string, subnets ...netip.Prefix) error {
	return h.changeGuard(tag, unix.RTM_NEWROUTE, unix.EEXIST, subnets)
}

// GuardLess is the inverse of GuardMore.
func (h *Host) GuardLess(tag string, subnets ...netip.Prefix) error {
	return h.changeGuard(tag, unix.RTM_DELROUTE, unix.ESRCH, subnets)
}

func (h *Host) changeGuard(tag string, kind uint16, fine unix.Errno, subnets []netip.Prefix) error {
	table, err := guardTable(tag)
	if err == nil {
		err = h.allow(fine, blackholes(kind, table, subnets)...)
	}
	if err != nil {
		return fmt.Errorf("cannot guard the networks' subnets: %w", err)
	}
	return nil
}

func (h *Host) setGuard(tag string, subnets []netip.Prefix) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	have, err := h.guarded(table)
	if err != nil {
		return err
	}
	for _, p := range subnets {
		delete(have, p)
	}
	more := h.allow(unix.EEXIST, blackholes(unix.RTM_NEWROUTE, table, subnets)...)
	return errors.Join(more, h.allow(unix.ESRCH, blackholes(unix.RTM_DELROUTE, table, slices.Collect(maps.Keys(have)))...))
}

func blackholes(kind uint16, table uint32, subnets []netip.Prefix) (msgs []message) {
	for _, p := range subnets {
		msgs = append(msgs, blackhole(kind, table, p))
	}
	return msgs
}

func blackhole(kind uint16, table uint32, p netip.Prefix) message {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Type = family(p.Addr()), uint8(p.Bits()), unix.RTN_BLACKHOLE
	m.Protocol, m.Scope, m.Table = unix.RTPROT_KERNEL, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_UNSPEC
	flags := uint16(0)
	if kind == unix.RTM_NEWROUTE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	return message{kind: kind, flags: flags, parts: []nl.NetlinkRequestData{
		m, nl.NewRtAttr(unix.RTA_DST, p.Masked().Addr().AsSlice()), numberAttr(unix.RTA_TABLE, table),
	}}
}

// guarded are the subnets with a blackhole route in a table.
func (h *Host) guarded(table uint32) (map[netip.Prefix]bool, error) {
	found := map[netip.Prefix]bool{}
	for _, f := range families() {
		m := nl.NewRtMsg()
		*m = nl.RtMsg{}
		m.Family = f
		request := message{kind: unix.RTM_GETROUTE, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{m, numberAttr(unix.RTA_TABLE, table)}}
		err := h.sock.ask(request, func(body []byte) {
			p, _, ok := parseRoute(body, unix.RTN_BLACKHOLE)
			if !ok {
				return
			}
			for k, v := range attributes(body[unix.SizeofRtMsg:]) {
				if k == unix.RTA_TABLE && len(v) >= 4 && binary.NativeEndian.Uint32(v) == table {
					found[p] = true
				}
			}
		})
		if isErrno(err, unix.ENOENT) || noRules(err) {
			continue // there is no such table yet
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
