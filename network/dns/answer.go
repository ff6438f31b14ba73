package dns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Lookup knows the names. Names come in lower case and without a dot at the
// end. Its methods are called for every question, from many goroutines.
type Lookup interface {
	// Addresses are those of a name as asker sees it, in a list that the caller
	// may change; false means that the name is not ours. A name of ours may have
	// no address.
	Addresses(asker, name string) ([]netip.Addr, bool)
	// Name is that of an address in one of asker's networks.
	Name(asker string, addr netip.Addr) (string, bool)
	// Upstreams answer asker's other questions, in order. false means that
	// they are not to be asked at all: asker is on internal networks only.
	Upstreams(asker string) ([]netip.AddrPort, bool)
}

// TTL in seconds of what we answer: short, since a recreated container may
// have another address.
const TTL = 1

// Answer decides what a query gets. nil means that the question is not ours
// and may be forwarded. shuffle puts the addresses of several replicas into
// the order of the answer. The query is not changed.
func Answer(query *dns.Msg, lookup Lookup, asker string, shuffle func([]netip.Addr)) *dns.Msg {
	if query.Opcode != dns.OpcodeQuery || len(query.Question) != 1 {
		return failure(query, dns.RcodeNotImplemented)
	}
	q := query.Question[0]
	if q.Qclass != dns.ClassINET && q.Qclass != dns.ClassANY {
		return failure(query, dns.RcodeNotImplemented)
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if addr, ok := reverseName(name); ok {
		if owner, ok := lookup.Name(asker, addr); ok {
			return answerName(query, owner)
		}
	} else if addrs, ok := lookup.Addresses(asker, name); ok {
		return answerAddresses(query, addrs, shuffle)
	}
	if _, forward := lookup.Upstreams(asker); !forward {
		return failure(query, dns.RcodeNameError)
	}
	return nil
}

// answerAddresses answers A and AAAA; any other type of a name that exists, and
// the family it has no address of, gets "no error, no data": NXDOMAIN would
// make musl and Go give up on the name as a whole.
func answerAddresses(query *dns.Msg, addrs []netip.Addr, shuffle func([]netip.Addr)) *dns.Msg {
	m := reply(query)
	q := query.Question[0]
	for _, a := range fitting(addrs, q.Qtype, shuffle) {
		h := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: TTL}
		if a.Is4() {
			h.Rrtype = dns.TypeA
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
		} else {
			h.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
		}
	}
	return m
}

// fitting picks the addresses that a type of question asks for, in the order of
// the answer.
func fitting(addrs []netip.Addr, kind uint16, shuffle func([]netip.Addr)) []netip.Addr {
	fit := slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		return kind != dns.TypeANY && (kind != dns.TypeA || !a.Is4()) && (kind != dns.TypeAAAA || !a.Is6())
	})
	if len(fit) > 1 {
		shuffle(fit)
	}
	return fit
}

func answerName(query *dns.Msg, owner string) *dns.Msg {
	m := reply(query)
	if q := query.Question[0]; q.Qtype == dns.TypePTR || q.Qtype == dns.TypeANY {
		m.Answer = append(m.Answer, &dns.PTR{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: TTL},
			Ptr: dns.Fqdn(owner),
		})
	}
	return m
}

// udpSize is what we say that we take, RFC 9715's 1400 and below.
const udpSize = 1232

// reply is an empty answer; it speaks EDNS if the query does.
func reply(query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	if query.IsEdns0() != nil {
		m.SetEdns0(udpSize, false)
	}
	return m
}

func failure(query *dns.Msg, code int) *dns.Msg {
	m := reply(query)
	m.Rcode = code
	return m
}

// limit is how many bytes an asker takes by UDP.
func limit(query *dns.Msg) int {
	if o := query.IsEdns0(); o != nil {
		return max(int(o.UDPSize()), dns.MinMsgSize)
	}
	return dns.MinMsgSize
}

// reverseName reads 4.3.2.1.in-addr.arpa and the ip6.arpa form.
func reverseName(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return a, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	digits := strings.Split(rest, ".")
	if len(digits) != 32 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		if len(digits[i]) != 1 {
			return netip.Addr{}, false
		}
		b.WriteString(digits[i])
		if i%4 == 0 && i > 0 {
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}
