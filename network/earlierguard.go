package network

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/network/firewall"
)

// Builds until November 2026 guarded networks by routing rules: a packet from
// elsewhere to a subnet of ours needed a mark that only the firewall's table set.
// The shield does it now (firewall.Shield), and the rules would let nothing in any
// more.
//
//	1000: iif lo goto 1002                        the host itself
//	1001: fwmark 0/0x2000 lookup <engine's table>  not marked: a black hole
//	1002: nop
const (
	guardFirst = 1000
	guardMatch = 1001
	guardLast  = 1002
)

const guardMask = 0x2000

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
	n, err := firewall.LinkGroup(tag)
	return n | 1<<31, err
}

func oldRule(family, action uint8, priority uint32, parts ...nl.NetlinkRequestData) message {
	return message{kind: unix.RTM_DELRULE, parts: append([]nl.NetlinkRequestData{
		fibRuleHeader{family, action}, numberAttr(unix.FRA_PRIORITY, priority),
		nl.NewRtAttr(unix.FRA_PROTOCOL, nl.Uint8Attr(unix.RTPROT_KERNEL)),
	}, parts...)}
}

// families are those that routes are asked for.
func families() []uint8 { return []uint8{unix.AF_INET, unix.AF_INET6} }

// noRules reports whether an error means that the kernel has no routing rules of
// a family.
func noRules(err error) bool {
	return isErrno(err, unix.EOPNOTSUPP) || isErrno(err, unix.EAFNOSUPPORT)
}

// unguard takes out an engine's rules and routes; none is success.
func (h *Host) unguard(tag string) error {
	table, err := guardTable(tag)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range families() {
		if err := h.unguardFamily(f, table); !noRules(err) {
			errs = append(errs, err)
		}
		errs = append(errs, h.dropTable(f, table))
	}
	return errors.Join(errs...)
}

func (h *Host) unguardFamily(family uint8, table uint32) error {
	err := h.allow(unix.ENOENT, oldRule(family, ruleToTable, guardMatch, numberAttr(unix.FRA_TABLE, table),
		numberAttr(unix.FRA_FWMARK, 0), numberAttr(unix.FRA_FWMASK, guardMask)))
	if err != nil {
		return err
	}
	guarded, err := h.guarded(family)
	if guarded || err != nil {
		return err
	}
	return h.allow(unix.ENOENT, oldRule(family, ruleGoto, guardFirst,
		nl.NewRtAttr(unix.FRA_IIFNAME, nl.ZeroTerminated("lo")), numberAttr(unix.FRA_GOTO, guardLast)), oldRule(family, ruleNop, guardLast))
}

// guarded reports whether a guardMatch of any engine is left.
func (h *Host) guarded(family uint8) (left bool, err error) {
	request := message{kind: unix.RTM_GETRULE, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{fibRuleHeader{family: family}}}
	err = h.sock.ask(request, func(body []byte) {
		var priority, mask uint32
		for k, v := range attributes(body[fibRuleHeader{}.Len():]) {
			switch {
			case k == unix.FRA_PRIORITY && len(v) >= 4:
				priority = binary.NativeEndian.Uint32(v)
			case k == unix.FRA_FWMASK && len(v) >= 4:
				mask = binary.NativeEndian.Uint32(v)
			}
		}
		left = left || priority == guardMatch && mask == guardMask
	})
	return left, err
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

// dropTable takes out the black holes of a routing table.
func (h *Host) dropTable(family uint8, table uint32) error {
	m := nl.NewRtMsg()
	*m = nl.RtMsg{}
	m.Family = family
	request := message{kind: unix.RTM_GETROUTE, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{m, numberAttr(unix.RTA_TABLE, table)}}
	var found []message
	err := h.sock.ask(request, func(body []byte) {
		p, _, ok := parseRoute(body, unix.RTN_BLACKHOLE)
		if !ok {
			return
		}
		for k, v := range attributes(body[unix.SizeofRtMsg:]) {
			if k == unix.RTA_TABLE && len(v) >= 4 && binary.NativeEndian.Uint32(v) == table {
				found = append(found, oldBlackhole(table, p))
			}
		}
	})
	if isErrno(err, unix.ENOENT) || noRules(err) {
		return nil // there is no such table
	}
	if err != nil {
		return err
	}
	return h.allow(unix.ESRCH, found...)
}

func oldBlackhole(table uint32, p netip.Prefix) message {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Type = family(p.Addr()), uint8(p.Bits()), unix.RTN_BLACKHOLE
	m.Protocol, m.Scope, m.Table = unix.RTPROT_KERNEL, unix.RT_SCOPE_UNIVERSE, unix.RT_TABLE_UNSPEC
	return message{kind: unix.RTM_DELROUTE, parts: []nl.NetlinkRequestData{
		m, nl.NewRtAttr(unix.RTA_DST, p.Masked().Addr().AsSlice()), numberAttr(unix.RTA_TABLE, table),
	}}
}
