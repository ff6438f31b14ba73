package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// book is a Zone with upstreams for some.
type book struct {
	*Zone
	upstreams map[string][]netip.AddrPort
}

func (b book) Upstreams(asker string) ([]netip.AddrPort, bool) {
	u, ok := b.upstreams[asker]
	return u, ok
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// shop has web (two replicas) and db on front and back, a stranger elsewhere,
// and an inner container that may not ask outside.
func shop() book {
	z := NewZone()
	z.Put("web1", Container{Project: "shop", Places: []Member{
		{Network: "shop_front", Addr: addr("10.128.1.2"), Names: []string{"shop-web-1", "web", "WWW.Example.com."}},
		{Network: "shop_back", Addr: addr("10.128.2.2"), Names: []string{"shop-web-1", "web"}},
	}, Links: map[string]string{"Store": "db"}, Hosts: map[string][]netip.Addr{
		"Host.Docker.Internal": {addr("10.128.1.1")}, "db": {addr("192.0.2.9")},
	}})
	z.Put("web2", Container{Project: "shop", Places: []Member{{
		Network: "shop_front", Addr: addr("10.128.1.3"), Names: []string{"shop-web-2", "web"},
	}}})
	z.Put("db", Container{Project: "shop", Places: []Member{
		{Network: "shop_back", Addr: addr("10.128.2.3"), Names: []string{"shop-db-1", "db"}},
		{Network: "shop_back", Addr: addr("fd00::3"), Names: []string{"shop-db-1", "six"}},
	}})
	z.Put("stranger", Container{Project: "other", Places: []Member{{Network: "other", Addr: addr("10.128.3.2"), Names: []string{"other-db-1", "db"}}}})
	z.Put("stopped", Container{Project: "shop", Places: []Member{{Network: "shop_front", Names: []string{"worker"}}}})
	up := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
	return book{z, map[string][]netip.AddrPort{"web1": up, "web2": up, "stranger": up, "stopped": up}}
}

func reverse(a []netip.Addr) { slices.Reverse(a) }

// show prints what matters of an answer in one line.
func show(m *dns.Msg) string {
	if m == nil {
		return "forward"
	}
	parts := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		parts = append(parts, strings.Join(strings.Fields(rr.String()), " "))
	}
	return strings.Join(parts, "; ")
}

func TestAnswer(t *testing.T) {
	rr := func(name, kind, data string) string {
		return fmt.Sprintf("NOERROR; %s %d IN %s %s", name, TTL, kind, data)
	}
	for _, c := range []struct {
		name, asker, question string
		kind                  uint16
		want                  string
	}{
		{"a service with two replicas gives both, shuffled", "web1", "web.", dns.TypeA,
			rr("web.", "A", "10.128.1.3") + fmt.Sprintf("; web. %d IN A 10.128.1.2", TTL)},
		{"a link of the asker's", "web1", "STORE.", dns.TypeA, rr("STORE.", "A", "10.128.2.3")},
		{"a link of another's", "db", "store.", dns.TypeA, "NXDOMAIN"},
		{"a name of the asker's hosts file", "web1", "host.docker.internal.", dns.TypeA, rr("host.docker.internal.", "A", "10.128.1.1")},
		{"which has no IPv6 address", "web1", "host.docker.internal.", dns.TypeAAAA, "NOERROR"},
		{"that of another's", "web2", "host.docker.internal.", dns.TypeA, "forward"},
		{"a container's name", "web2", "shop-web-1.", dns.TypeA, rr("shop-web-1.", "A", "10.128.1.2")},
		{"an alias in any case, with dots", "web2", "www.eXample.com.", dns.TypeA, rr("www.eXample.com.", "A", "10.128.1.2")},
		{"a name on the second network", "web1", "db.", dns.TypeA, rr("db.", "A", "10.128.2.3")},
		{"a name with its network", "web1", "web.shop_back.", dns.TypeA, rr("web.shop_back.", "A", "10.128.2.2")},
		{"a name with a network that the asker is not in", "web2", "db.shop_back.", dns.TypeA, "forward"},
		{"a name of another network only", "web2", "db.", dns.TypeA, "forward"},
		{"the stranger's own db", "stranger", "db.", dns.TypeA, rr("db.", "A", "10.128.3.2")},
		{"a container that is stopped asks but is not found", "web1", "worker.", dns.TypeA, "forward"},
		{"and can ask itself", "stopped", "shop-web-2.", dns.TypeA, rr("shop-web-2.", "A", "10.128.1.3")},
		{"AAAA of a name with IPv4 only is no data, not an error", "web1", "web.", dns.TypeAAAA, "NOERROR"},
		{"AAAA of a name that has one", "web1", "six.", dns.TypeAAAA, rr("six.", "AAAA", "fd00::3")},
		{"MX of a name of ours is no data and not forwarded", "web1", "web.", dns.TypeMX, "NOERROR"},
		{"a foreign name is forwarded", "web1", "example.org.", dns.TypeA, "forward"},
		{"a foreign name on internal networks does not exist", "db", "example.org.", dns.TypeA, "NXDOMAIN"},
		{"an unknown asker knows nothing", "nobody", "web.", dns.TypeA, "NXDOMAIN"},
		{"an address gives its first name", "web2", "2.1.128.10.in-addr.arpa.", dns.TypePTR,
			rr("2.1.128.10.in-addr.arpa.", "PTR", "shop-web-1.shop_front.")},
		{"an address of another network is forwarded", "web2", "3.2.128.10.in-addr.arpa.", dns.TypePTR, "forward"},
		{"an IPv6 address", "web1", "3.0.0.0." + strings.Repeat("0.", 24) + "0.0.d.f.ip6.arpa.", dns.TypePTR,
			rr("3.0.0.0."+strings.Repeat("0.", 24)+"0.0.d.f.ip6.arpa.", "PTR", "shop-db-1.shop_back.")},
		{"a broken reverse name", "web1", "x.1.128.10.in-addr.arpa.", dns.TypePTR, "forward"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := new(dns.Msg)
			q.SetQuestion(c.question, c.kind)
			m := Answer(q, shop(), c.asker, reverse)
			if got := show(m); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if m != nil && (m.Id != q.Id || !m.Response || !m.RecursionAvailable || len(m.Question) != 1) {
				t.Errorf("the header is wrong: %v", m)
			}
		})
	}
}

func TestAnswerRefusesWhatIsNoQuestion(t *testing.T) {
	q := new(dns.Msg)
	q.SetQuestion("web.", dns.TypeA)
	for name, change := range map[string]func(*dns.Msg){
		"no question":       func(m *dns.Msg) { m.Question = nil },
		"two questions":     func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"an update":         func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate },
		"the class of BIND": func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
	} {
		t.Run(name, func(t *testing.T) {
			m := q.Copy()
			change(m)
			if got := show(Answer(m, shop(), "web1", reverse)); got != "NOTIMP" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestEDNSIsSpokenWhenAsked(t *testing.T) {
	q := new(dns.Msg)
	q.SetQuestion("web.", dns.TypeA)
	if m := Answer(q, shop(), "web1", reverse); m.IsEdns0() != nil || limit(q) != 512 {
		t.Error("without EDNS in the question: the answer has it, or the limit is not 512")
	}
	q.SetEdns0(4000, false)
	if m := Answer(q, shop(), "web1", reverse); m.IsEdns0() == nil || limit(q) != 4000 {
		t.Error("with EDNS in the question: the answer lacks it, or the limit is not 4000")
	}
}

func TestAZoneForgetsWhoIsDropped(t *testing.T) {
	b := shop()
	b.Put("web1", Container{Project: "shop", Places: []Member{{
		Network: "shop_front", Addr: addr("10.128.1.9"), Names: []string{"web", "web", "WEB"}, Aliases: []string{"web"},
	}}})
	got, _ := b.Addresses("web2", "web")
	if want := []netip.Addr{addr("10.128.1.3"), addr("10.128.1.9")}; !slices.Equal(got, want) {
		t.Errorf("after a change: got %v, want %v", got, want)
	}
	if _, ok := b.Name("web2", addr("10.128.1.2")); ok {
		t.Error("the old address still has a name")
	}
	for _, id := range []string{"web1", "web2", "db", "stranger", "stopped", "web1"} {
		b.Drop(id)
	}
	if len(b.networks) != 0 || len(b.members) != 0 {
		t.Errorf("left: %v, %v", b.networks, b.members)
	}
}

// Three projects on one network, and a proxy of a fourth: each finds its own
// first, and an alias never stands before a service.
func TestProjectsThatShareANetworkFindTheirOwn(t *testing.T) {
	z := NewZone()
	put := func(project string, last byte, names, aliases []string) {
		z.Put(project, Container{Project: project, Places: []Member{
			{Network: "edge", Addr: netip.AddrFrom4([4]byte{10, 0, 0, last}), Names: names, Aliases: aliases},
			{Network: project + "_default", Addr: netip.AddrFrom4([4]byte{10, 0, last, last}), Names: names},
		}})
	}
	put("a", 1, []string{"db"}, nil)
	put("b", 2, []string{"db"}, []string{"cache"})
	put("c", 3, []string{"api"}, []string{"db", "only-c"})
	put("proxy", 4, []string{"proxy"}, nil)
	for _, c := range []struct{ asker, name, want string }{
		{"a", "db", "[10.0.0.1]"},
		{"b", "db", "[10.0.0.2]"},
		{"c", "db", "[10.0.0.3]"},
		{"proxy", "db", "[10.0.0.1 10.0.0.2]"},
		{"proxy", "cache", "[10.0.0.2]"},
		{"proxy", "only-c", "[10.0.0.3]"},
		{"a", "db.edge", "[10.0.0.1]"},
		{"a", "db.a_default", "[10.0.1.1]"},
		{"a", "db.b_default", "[]"},
	} {
		got, _ := z.Addresses(c.asker, c.name)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s asks for %s: %v, want %s", c.asker, c.name, got, c.want)
		}
	}
}

// A name may have one family on one network and the other on another.
func TestEachFamilyIsFoundOnTheFirstNetworkThatHasIt(t *testing.T) {
	z := NewZone()
	put := func(id string, names []string, addrs ...string) {
		var places []Member
		for i := 0; i < len(addrs); i += 2 {
			places = append(places, Member{Network: addrs[i], Addr: netip.MustParseAddr(addrs[i+1]), Names: names})
		}
		z.Put(id, Container{Project: "p", Places: places})
	}
	put("asker", nil, "one", "10.0.1.9", "three", "10.0.3.9", "three", "fd00:3::9", "six", "fd00:6::9")
	put("web-1", []string{"web"}, "one", "10.0.1.2", "three", "10.0.3.2", "three", "fd00:3::2", "six", "fd00:6::2")
	put("web-2", []string{"web"}, "three", "10.0.3.3", "six", "fd00:6::3")
	put("db", []string{"db"}, "six", "fd00:6::4", "three", "10.0.3.4")
	for name, want := range map[string]string{
		"web":       "[10.0.1.2 fd00:3::2]",
		"web.three": "[10.0.3.2 fd00:3::2 10.0.3.3]",
		"web.six":   "[fd00:6::2 fd00:6::3]",
		"db":        "[10.0.3.4 fd00:6::4]",
	} {
		if got, _ := z.Addresses("asker", name); fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig(strings.NewReader(`# made by hand
nameserver 127.0.0.53
nameserver not-an-address
nameserver	2001:db8::1 ; second
nameserver fe80::1%eth0
nameserver 192.0.2.9
search example.org corp
options ndots:2
options edns0 trust-ad
nameserver
`))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Servers, c.Search, c.Options)
	want := "[127.0.0.53:53 [2001:db8::1]:53 [fe80::1%eth0]:53] [example.org corp] [ndots:2 edns0 trust-ad]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzNames: whatever a container is called, it is found by that name in any
// case, and nothing of it is left when it is dropped.
func FuzzNames(f *testing.F) {
	f.Add("web", "www.example.com.", "shop_front")
	f.Add("", ".", "n.m")
	f.Add("K\u212a", "\xff.x", "")
	f.Fuzz(func(t *testing.T, name, alias, network string) {
		z := NewZone()
		z.Put("one", Container{Project: "p", Places: []Member{
			{Network: network, Addr: addr("10.0.0.1"), Names: []string{name}, Aliases: []string{alias}},
		}, Links: map[string]string{alias + "x": name}})
		z.Put("two", Container{Project: "q", Places: []Member{{Network: network, Addr: addr("10.0.0.2"), Names: []string{"two"}}}})
		for _, n := range []string{name, alias} {
			n = canonical(n)
			if got, ok := z.Addresses("two", n); n != "" && n != "two" && (!ok || len(got) == 0) {
				t.Errorf("%q is not found", n)
			}
		}
		z.Name("two", addr("10.0.0.1"))
		z.Drop("one")
		if n := canonical(name); n != "two" {
			if got, ok := z.Addresses("two", n); ok {
				t.Errorf("%q is found after it was dropped: %v", n, got)
			}
		}
		z.Drop("two")
		if len(z.networks) != 0 || len(z.members) != 0 {
			t.Errorf("left: %v, %v", z.networks, z.members)
		}
	})
}

// FuzzAnswer: whatever comes in, no panic, and what we answer can be packed.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("web.", dns.TypeA)
	raw, _ := q.Pack()
	f.Add(raw)
	b := shop()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m dns.Msg
		_, _ = questionEnd(raw)
		if m.Unpack(raw) != nil {
			return
		}
		if a := Answer(&m, b, "web1", reverse); a != nil {
			a.Truncate(limit(&m))
			_, _ = a.Pack()
		}
	})
}
