package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Bits of the header's third and fourth byte (RFC 1035 4.1.1, RFC 4035 3).
const (
	bitResponse           = 0x80
	bitRecursionDesired   = 0x01
	bitRecursionAvailable = 0x80
	bitAuthentic          = 0x20
	bitCheckingDisabled   = 0x10
)

// plainQuestion is one of the commonest form, read from its bytes.
type plainQuestion struct {
	name string // in lower case, without a dot at the end
	kind uint16
	end  int // of the question in the message
	edns bool
	size int // bytes that the asker takes
}

// quick answers the commonest questions, for the addresses of a name of ours,
// without unpacking and packing: with what Answer would say, into out. false
// leaves the question to Answer.
func quick(out, raw []byte, lookup Lookup, asker string, shuffle func([]netip.Addr)) ([]byte, bool) {
	q, ok := readPlain(raw)
	if !ok {
		return out, false
	}
	addrs, ok := lookup.Addresses(asker, q.name)
	if !ok {
		return out, false
	}
	addrs = fitting(addrs, q.kind, shuffle)
	out = append(out[:0], raw[:q.end]...) // the name keeps its case
	out[2] = bitResponse | raw[2]&bitRecursionDesired
	out[3] = bitRecursionAvailable | raw[3]&bitCheckingDisabled
	binary.BigEndian.PutUint16(out[6:], uint16(len(addrs)))
	binary.BigEndian.PutUint32(out[8:], 0)
	for _, a := range addrs {
		out = appendAddress(out, q.kind, a)
	}
	if q.edns {
		out[11] = 1
		out = append(out, 0, 0, byte(dns.TypeOPT), udpSize>>8, udpSize&0xff, 0, 0, 0, 0, 0, 0)
	}
	return out, len(out) <= q.size
}

// appendAddress adds a record of the name in the question.
func appendAddress(out []byte, kind uint16, a netip.Addr) []byte {
	const pointer = 0xc000 // to a name that stood before (RFC 1035 4.1.4)
	out = binary.BigEndian.AppendUint16(out, pointer|headerSize)
	out = binary.BigEndian.AppendUint16(out, kind)
	out = binary.BigEndian.AppendUint16(out, dns.ClassINET)
	out = binary.BigEndian.AppendUint32(out, TTL)
	out = binary.BigEndian.AppendUint16(out, uint16(a.BitLen()/8))
	if a.Is4() {
		four := a.As4()
		return append(out, four[:]...)
	}
	six := a.As16()
	return append(out, six[:]...)
}

// readPlain reads a question for A or AAAA of a name of letters, digits, - and
// _, with or without EDNS; false is anything else.
func readPlain(raw []byte) (q plainQuestion, ok bool) {
	end, err := questionEnd(raw)
	if err != nil || raw[2]&^bitRecursionDesired != 0 || raw[3]&^(bitAuthentic|bitCheckingDisabled) != 0 {
		return q, false
	}
	q = plainQuestion{kind: binary.BigEndian.Uint16(raw[end-4:]), end: end, size: dns.MinMsgSize}
	if q.kind != dns.TypeA && q.kind != dns.TypeAAAA || binary.BigEndian.Uint16(raw[end-2:]) != dns.ClassINET {
		return q, false
	}
	if !q.readEDNS(binary.BigEndian.Uint16(raw[10:]), raw[end:]) || binary.BigEndian.Uint32(raw[6:]) != 0 {
		return q, false
	}
	q.name, ok = plainName(raw[headerSize:])
	return q, ok
}

// readEDNS reads what stands behind the question: nothing, or an OPT record
// without options (RFC 6891 6.1.2).
func (q *plainQuestion) readEDNS(records uint16, rest []byte) bool {
	const optSize = 11
	if records == 0 {
		return len(rest) == 0
	}
	if records != 1 || len(rest) != optSize || rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != dns.TypeOPT ||
		binary.BigEndian.Uint16(rest[9:]) != 0 {
		return false
	}
	q.edns, q.size = true, max(int(binary.BigEndian.Uint16(rest[3:])), dns.MinMsgSize)
	return true
}

// plainName joins the labels of a name whose form questionEnd has checked. Names
// that are written with escapes, that of the root, and those that may stand for
// an address are not plain.
func plainName(labels []byte) (string, bool) {
	const maxName = 253 // RFC 1035 2.3.4, without the first length and the root
	var name [maxName]byte
	n := 0
	for labels[0] != 0 {
		label := labels[1 : 1+int(labels[0])]
		labels = labels[1+len(label):]
		if n > 0 && n < maxName {
			name[n] = '.'
			n++
		}
		if n+len(label) > maxName {
			return "", false
		}
		for _, c := range label {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", false
			}
			name[n] = c
			n++
		}
	}
	s := string(name[:n])
	return s, n > 0 && !strings.HasSuffix(s, ".arpa")
}
