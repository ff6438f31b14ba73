package firewall

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func example() State {
	return State{
		Networks: []Network{
			{Bridge: "mc0badcafefront", Subnet: netip.MustParsePrefix("10.128.1.0/24")},
			{Bridge: "mc0badcafefront", Subnet: netip.MustParsePrefix("fd6d:1:2::/64")},
			{Bridge: "mc0badcafeplain", Subnet: netip.MustParsePrefix("10.128.3.0/24"), NoICC: true, NoMasquerade: true},
			{Bridge: "mc0badcafeinner", Subnet: netip.MustParsePrefix("10.128.2.0/24"), Internal: true},
		},
		Strangers: []string{"docker0"},
		Guests:    []Guest{{Bridge: "mc0badcafefront", Addr: netip.MustParseAddr("10.128.1.5")}},
		Ports: []Port{
			{Protocol: TCP, HostPort: 8080, Target: netip.MustParseAddrPort("10.128.1.2:80")},
			{Protocol: TCP, HostPort: 8080, Target: netip.MustParseAddrPort("[fd6d:1:2::2]:80")},
			{
				Protocol: UDP, Host: netip.MustParseAddr("2001:db8::1"), HostPort: 53,
				Target: netip.MustParseAddrPort("[fd6d:1:2::3]:5353"),
			},
			{Protocol: UDP, HostPort: 53, Target: netip.MustParseAddrPort("10.128.1.3:5353")},
			{
				Protocol: TCP, Host: netip.MustParseAddr("127.0.0.1"), HostPort: 5432,
				Target: netip.MustParseAddrPort("10.128.1.4:5432"),
			},
		},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test -update writes it anew. got:\n%s", path, got)
	}
}

func rulesOf(t *testing.T, s State) Ruleset {
	t.Helper()
	r, err := Rules("0badcafe", s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRulesAsText(t *testing.T) {
	golden(t, "empty.nft", rulesOf(t, State{}).String())
	golden(t, "example.nft", rulesOf(t, example()).String())
	if _, err := IPTablesRules("0badcafe", "mc0badcafe", example()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("IPv6 by iptables: %v", err)
	}
	four := example()
	four.Networks = slices.DeleteFunc(four.Networks, func(n Network) bool { return n.Subnet.Addr().Is6() })
	four.Ports = slices.DeleteFunc(four.Ports, func(p Port) bool { return p.Target.Addr().Is6() })
	text, err := IPTablesRules("0badcafe", "mc0badcafe", four)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.iptables", text)
	shield, err := ShieldRules("0badcafe", Shielded{Networks: example().Networks, Strangers: []string{"docker0"}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shield.nft", shield.String())
	golden(t, "resolver.nft", ResolverRules(netip.MustParseAddr("127.0.0.11"), 40001, 40002).String())
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	s := example()
	slices.Reverse(s.Networks)
	slices.Reverse(s.Ports)
	s.Ports = append(s.Ports, s.Ports[0])
	if a, b := rulesOf(t, s).String(), rulesOf(t, example()).String(); a != b {
		t.Errorf("got\n%s\nand\n%s", a, b)
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	good := netip.MustParseAddrPort("10.128.1.2:80")
	subnet := netip.MustParsePrefix("10.128.1.0/24")
	for name, c := range map[string]struct {
		state State
		want  string
	}{
		"a long bridge name":       {State{Networks: []Network{{Bridge: "a234567890123456", Subnet: subnet}}}, "1 to 15 bytes"},
		"a network without subnet": {State{Networks: []Network{{Bridge: "br"}}}, "is not a subnet"},
		"host port 0":              {State{Ports: []Port{{Protocol: TCP, Target: good}}}, "host port is 0"},
		"an unknown protocol":      {State{Ports: []Port{{Protocol: 132, HostPort: 1, Target: good}}}, "only tcp and udp"},
		"a target without port": {
			State{Ports: []Port{{Protocol: TCP, HostPort: 1, Target: netip.AddrPortFrom(good.Addr(), 0)}}},
			"is not an address with a port",
		},
		"an IPv6 host address": {
			State{Ports: []Port{{Protocol: TCP, Host: netip.MustParseAddr("::1"), HostPort: 1, Target: good}}},
			"cannot translate",
		},
		"one host port for two targets": {
			State{Ports: []Port{
				{Protocol: TCP, HostPort: 1, Target: good},
				{Protocol: TCP, Host: netip.IPv4Unspecified(), HostPort: 1, Target: netip.MustParseAddrPort("10.128.1.3:80")},
			}},
			"it would lead to",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Rules("x", c.state); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// normal brings the words of the sets into order, as the kernel hashes their
// elements; the chains stay as they are.
func normal(listing string) string {
	sets, chains, _ := strings.Cut(listing, "chain ")
	words := strings.FieldsFunc(sets, func(r rune) bool { return strings.ContainsRune(" \t\n,", r) })
	slices.Sort(words)
	return strings.Join(words, " ") + "\nchain " + chains
}

// TestTheKernelHoldsWhatTheTextSays compares nft's own listing of the table
// with its listing of the same table read from our text.
func TestTheKernelHoldsWhatTheTextSays(t *testing.T) {
	kerneltest.NeedRoot(t)
	nft := kerneltest.NeedProgram(t, "nft")
	ns := kerneltest.NewNetNS(t)
	run := func(stdin string, args ...string) string {
		var out []byte
		ns.Do(t, func() (err error) {
			cmd := exec.Command(nft, args...)
			cmd.Stdin = strings.NewReader(stdin)
			out, err = cmd.CombinedOutput()
			if err != nil {
				t.Errorf("nft %v: %s", args, out)
			}
			return nil
		})
		return string(out)
	}
	written := func(t *testing.T, r Ruleset, write func() error) {
		run(r.String(), "-f", "-")
		want := normal(run("", "list", "ruleset"))
		run("", "flush", "ruleset")
		ns.Do(t, write)
		if got := normal(run("", "list", "ruleset")); got != want || strings.Count(got, "\n") < 10 {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		run("", "flush", "ruleset")
	}
	table := Open("0badcafe", ns.File)
	t.Cleanup(func() { table.Close() })
	written(t, rulesOf(t, example()), func() error { return table.Ensure(example()) })
	written(t, rulesOf(t, example()), func() error {
		if err := table.Ensure(State{}); err != nil {
			return err
		}
		return table.Change(example(), State{})
	})
	addr := netip.MustParseAddr("127.0.0.11")
	written(t, ResolverRules(addr, 40001, 40002), func() error { return LeadResolver(addr, 40001, 40002) })
}

func TestALinkGroupIsNobodyElses(t *testing.T) {
	for tag, want := range map[string]uint32{
		"00000000": 1 << 31, "00000001": 1<<31 | 1, "00000002": 2, "0badcafe": 0x0badcafe, "ffffffff": 0xffffffff,
	} {
		if got, err := LinkGroup(tag); err != nil || got != want || got == 0 || got^1 == 0 {
			t.Errorf("tag %s: group %d, %v, want %d", tag, got, err, want)
		}
	}
	if _, err := LinkGroup("fffffffff"); err == nil {
		t.Error("a tag of 9 digits has a group")
	}
}
