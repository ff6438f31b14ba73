package dns

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// sameAsAnswer fails if quick says anything but what Answer says, and tells
// whether it said something.
func sameAsAnswer(t *testing.T, b book, raw []byte) bool {
	t.Helper()
	got, ok := quick(nil, raw, b, "web1", reverse)
	if !ok {
		return false
	}
	var query, m dns.Msg
	if err := query.Unpack(raw); err != nil {
		t.Fatalf("quick answered what is no message: %v", err)
	}
	if err := m.Unpack(got); err != nil {
		t.Fatalf("quick's answer cannot be read: %v", err)
	}
	want := Answer(&query, b, "web1", reverse)
	if want == nil {
		t.Fatalf("quick answered what is to be forwarded: %v", &m)
	}
	want.Truncate(limit(&query))
	if got, want := m.String(), want.String(); got != want || query.Response {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	return true
}

func TestAQuickAnswerIsTheSame(t *testing.T) {
	b := shop()
	for name, c := range map[string]struct {
		question string
		kind     uint16
		change   func(*dns.Msg)
		quick    bool
	}{
		"two replicas":            {"web.", dns.TypeA, nil, true},
		"the case stays":          {"wWw.eXample.com.", dns.TypeA, nil, true},
		"a link":                  {"STORE.", dns.TypeA, nil, true},
		"a name with its network": {"web.shop_back.", dns.TypeA, nil, true},
		"no data":                 {"web.", dns.TypeAAAA, nil, true},
		"IPv6":                    {"six.", dns.TypeAAAA, nil, true},
		"EDNS":                    {"web.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4000, true) }, true},
		"bits of the header":      {"web.", dns.TypeA, func(m *dns.Msg) { m.AuthenticatedData, m.CheckingDisabled, m.RecursionDesired = true, true, false }, true},
		"an option in EDNS": {"web.", dns.TypeA, func(m *dns.Msg) {
			m.SetEdns0(512, false).IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: []byte{0}}}
		}, false},
		"another type":         {"web.", dns.TypeMX, nil, false},
		"another class":        {"web.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
		"a foreign name":       {"example.org.", dns.TypeA, nil, false},
		"the root":             {".", dns.TypeA, nil, false},
		"an address":           {"2.1.128.10.in-addr.arpa.", dns.TypeA, nil, false},
		"a dot within a label": {`web\.shop_back.`, dns.TypeA, nil, false},
		"a response":           {"web.", dns.TypeA, func(m *dns.Msg) { m.Response = true }, false},
		"an update":            {"web.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, false},
		"a question with an answer": {"web.", dns.TypeA, func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "web.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4zero}}
		}, false},
		"more than one may be asked": {"web.", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := new(dns.Msg)
			q.SetQuestion(c.question, c.kind)
			if c.change != nil {
				c.change(q)
			}
			raw, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got := sameAsAnswer(t, b, raw); got != c.quick {
				t.Errorf("answered quickly: %v, want %v", got, c.quick)
			}
			if sameAsAnswer(t, b, append(raw, 0)) {
				t.Error("answered quickly with a byte behind")
			}
		})
	}
}

// FuzzQuick: whatever comes in, quick says what Answer says or nothing.
func FuzzQuick(f *testing.F) {
	for _, name := range []string{"web.", "six.", "www.example.com."} {
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeAAAA)
		raw, _ := q.Pack()
		f.Add(raw)
		q.SetEdns0(1400, true)
		q.Question[0].Qtype = dns.TypeA
		raw, _ = q.Pack()
		f.Add(raw)
	}
	b := shop()
	f.Fuzz(func(t *testing.T, raw []byte) { sameAsAnswer(t, b, raw) })
}

// More questions than one call takes lie in the socket before anybody serves,
// ours and foreign ones, and noise between them.
func TestEachOfManyQuestionsGetsItsAnswer(t *testing.T) {
	b := shop()
	b.upstreams["web1"] = nil // what is foreign fails
	udp, _ := serve(t, b, "web1")
	c, err := net.Dial("udp4", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(generous))
	const many = 3 * batchSize
	for i := range many {
		q := new(dns.Msg)
		q.SetQuestion([]string{"web.", "db.", "example.org."}[i%3], dns.TypeA)
		q.Id = uint16(i)
		raw, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{{}, {1, 2}, raw} {
			if len(data) < len(raw) && i%8 > 0 {
				continue
			}
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[uint16]bool{}
	for len(seen) < many {
		m, err := (&dns.Conn{Conn: c}).ReadMsg()
		if err != nil {
			t.Fatalf("after %d answers: %v", len(seen), err)
		}
		if want := []int{2, 1, 0}[m.Id%3]; len(m.Answer) != want || seen[m.Id] {
			t.Errorf("question %d, want %d addresses: %s", m.Id, want, show(m))
		}
		seen[m.Id] = true
	}
}

func BenchmarkQuick(b *testing.B) {
	q := new(dns.Msg)
	q.SetQuestion("shop-web-1.", dns.TypeA)
	raw, err := q.Pack()
	if err != nil {
		b.Fatal(err)
	}
	zone := shop()
	out := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		var ok bool
		if out, ok = quick(out, raw, zone, "web1", reverse); !ok {
			b.Fatal("not answered")
		}
	}
}
