package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

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
// systemd-networkd removes what it takes for a leftover of its own. Replies to
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
type fibRuleHeader struct{ action uint8 }

func (fibRuleHeader) Len() int { return 12 }

func (h fibRuleHeader) Serialize() []byte {
	b := make([]byte, 12)
	b[0], b[7] = unix.AF_INET, h.action
	return b
}

// guardTable is the number of an engine's routing table: its tag, outside of
// the range that people use.
func guardTable(tag string) (uint32, error) {
	n, err := strconv.ParseUint(tag, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no tag of 8 hex digits", tag)
	}
	return uint32(n) | 1<<31, nil
}

func rule(kind uint16, action uint8, priority uint32, parts ...nl.NetlinkRequestData) message {
	flags := uint16(0)
	if kind == unix.RTM_NEWRULE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	parts = append([]nl.NetlinkRequestData{
		fibRuleHeader{action}, numberAttr(unix.FRA_PRIORITY, priority),
		nl.NewRtAttr(unix.FRA_PROTOCOL, nl.Uint8Attr(unix.RTPROT_KERNEL)),
	}, parts...)
	return message{kind: kind, flags: flags, parts: parts}
}

func guardIn(kind uint16) message {
	return rule(kind, ruleGoto, guardFirst, nl.NewRtAttr(unix.FRA_IIFNAME, nl.ZeroTerminated("lo")), numberAttr(unix.FRA_GOTO, guardLast))
}

func guardMark(kind uint16, table uint32) message {
	return rule(kind, ruleToTable, guardMatch, numberAttr(unix.FRA_TABLE, table),
		numberAttr(unix.FRA_FWMARK, 0), numberAttr(unix.FRA_FWMASK, firewall.Mark))
}

func guardOut(kind uint16) message { return rule(kind, ruleNop, guardLast) }

// guard makes the rules stand; those that do are success.
func (h *Host) guard(tag string) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	err = h.allow(unix.EEXIST, guardOut(unix.RTM_NEWRULE), guardIn(unix.RTM_NEWRULE), guardMark(unix.RTM_NEWRULE, table))
	if isErrno(err, unix.EOPNOTSUPP) || isErrno(err, unix.EAFNOSUPPORT) {
		return nil // a kernel without routing rules has no such guard
	}
	return err
}

// unguard takes out the engine's rule and routes, and for the last engine of
// the host the other rules.
func (h *Host) unguard(tag string, last bool) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	msgs := []message{guardMark(unix.RTM_DELRULE, table)}
	if last {
		msgs = append(msgs, guardIn(unix.RTM_DELRULE), guardOut(unix.RTM_DELRULE))
	}
	err = h.allow(unix.ENOENT, msgs...)
	if isErrno(err, unix.EOPNOTSUPP) || isErrno(err, unix.EAFNOSUPPORT) {
		err = nil
	}
	return errors.Join(err, h.Guard(tag, nil))
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

func (h *Host) setGuard(tag string, subnets []netip.Prefix) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	have, err := h.blackholes(table)
	if err != nil {
		return err
	}
	var msgs []message
	for _, p := range subnets {
		if !have[p] {
			msgs = append(msgs, blackhole(unix.RTM_NEWROUTE, table, p))
		}
		delete(have, p)
	}
	if err := h.allow(unix.EEXIST, msgs...); err != nil {
		return err
	}
	msgs = msgs[:0]
	for p := range have {
		msgs = append(msgs, blackhole(unix.RTM_DELROUTE, table, p))
	}
	return h.allow(unix.ESRCH, msgs...)
}

func blackhole(kind uint16, table uint32, p netip.Prefix) message {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Type = unix.AF_INET, uint8(p.Bits()), unix.RTN_BLACKHOLE
	m.Protocol, m.Scope, m.Table = unix.RTPROT_KERNEL, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_UNSPEC
	flags := uint16(0)
	if kind == unix.RTM_NEWROUTE {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	a := p.Masked().Addr().As4()
	return message{kind: kind, flags: flags, parts: []nl.NetlinkRequestData{
		m, nl.NewRtAttr(unix.RTA_DST, a[:]), numberAttr(unix.RTA_TABLE, table),
	}}
}

// blackholes are the routes of a table.
func (h *Host) blackholes(table uint32) (map[netip.Prefix]bool, error) {
	m := nl.NewRtMsg()
	*m = nl.RtMsg{}
	m.Family = unix.AF_INET
	found := map[netip.Prefix]bool{}
	request := message{kind: unix.RTM_GETROUTE, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{m, numberAttr(unix.RTA_TABLE, table)}}
	err := h.sock.ask(request, func(body []byte) {
		p, _, ok := parseRoute(body)
		if !ok || body[7] != unix.RTN_BLACKHOLE {
			return
		}
		for k, v := range attributes(body[unix.SizeofRtMsg:]) {
			if k == unix.RTA_TABLE && len(v) >= 4 && binary.NativeEndian.Uint32(v) == table {
				found[p] = true
			}
		}
	})
	if isErrno(err, unix.ENOENT) {
		return found, nil // there is no such table yet
	}
	return found, err
}
