package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// elements counts what the kernel holds in the sets of the table.
func elements(t *testing.T, ns *kerneltest.NetNS, name string) int {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.File.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	sets, err := c.GetSets(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range sets {
		elems, err := c.GetSetElements(s)
		if err != nil {
			t.Fatal(err)
		}
		n += len(elems)
	}
	return n
}

func tables(t *testing.T, ns *kerneltest.NetNS) int {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.File.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func openTable(t *testing.T) (*Table, *kerneltest.NetNS) {
	t.Helper()
	kerneltest.NeedRoot(t)
	ns := kerneltest.NewNetNS(t)
	table := Open("0badcafe", ns.File)
	t.Cleanup(func() { table.Close() })
	return table, ns
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryChangeMayBeRepeated(t *testing.T) {
	table, ns := openTable(t)
	must(t, table.Ensure(State{}))
	for range 2 {
		must(t, table.Change(example(), State{}))
	}
	// internal 1, same 2, own 3, subnets 3, masked 2, ports 3, own6 2, subnets6 1, ports 2, guests 1
	if n := elements(t, ns, "mycompose_0badcafe"); n != 21 {
		t.Errorf("after adding: %d elements, want 21", n)
	}
	for range 2 {
		must(t, table.Change(State{}, example()))
	}
	if n := elements(t, ns, "mycompose_0badcafe"); n != 0 {
		t.Errorf("after removing: %d elements, want 0", n)
	}
	for range 2 {
		must(t, table.Remove())
	}
	if n := tables(t, ns); n != 0 {
		t.Errorf("after removing the table: %d tables", n)
	}
}

func TestAPortMovesToAnotherTargetInOneChange(t *testing.T) {
	table, ns := openTable(t)
	must(t, table.Ensure(example()))
	port := example().Ports[0]
	moved := port
	moved.Target = netip.MustParseAddrPort("10.128.1.9:80")
	if err := table.Change(State{Ports: []Port{moved}}, State{}); err == nil {
		t.Error("a second target for a port was taken without the first going")
	}
	must(t, table.Change(State{Ports: []Port{moved}}, State{Ports: []Port{port}}))
	if n := elements(t, ns, "mycompose_0badcafe"); n != 21 {
		t.Errorf("%d elements, want 21", n)
	}
}

func TestEnsureReplacesWhatWasThere(t *testing.T) {
	table, ns := openTable(t)
	must(t, table.Ensure(example()))
	must(t, table.Ensure(State{Networks: example().Networks[:1]}))
	if n := elements(t, ns, "mycompose_0badcafe"); n != 4 {
		t.Errorf("%d elements, want 4", n)
	}
}

func TestAFlushedTableIsNoticed(t *testing.T) {
	table, ns := openTable(t)
	must(t, table.Ensure(example()))
	c, err := nftables.New(nftables.WithNetNSFd(int(ns.File.Fd())))
	must(t, err)
	c.FlushRuleset()
	must(t, c.Flush())
	if err := table.Change(example(), State{}); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	must(t, table.Ensure(example()))
	must(t, table.Change(example(), State{}))
}

func TestALargeStateGoesInAtOnce(t *testing.T) {
	table, ns := openTable(t)
	var s State
	for i := range 300 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 128 + byte(i/250), byte(i % 250), 0}), 24)
		s.Networks = append(s.Networks, Network{Bridge: fmt.Sprintf("mc0badcafe%05d", i), Subnet: subnet})
	}
	for i := range 3000 {
		s.Ports = append(s.Ports, Port{
			Protocol: TCP, HostPort: uint16(i + 1), Target: netip.MustParseAddrPort("10.128.1.2:80"),
		})
	}
	must(t, table.Ensure(s))
	if n := elements(t, ns, "mycompose_0badcafe"); n != 4200 {
		t.Errorf("%d elements, want 4200", n)
	}
	must(t, table.Change(State{}, s))
	if n := elements(t, ns, "mycompose_0badcafe"); n != 0 {
		t.Errorf("%d elements, want 0", n)
	}
}

func TestForgetUDPFindsFlowsOfAPort(t *testing.T) {
	p := Port{Protocol: UDP, HostPort: 53, Target: netip.MustParseAddrPort("10.128.1.2:5353")}
	at := netip.MustParseAddrPort
	for name, c := range map[string]struct {
		flow flow
		want bool
	}{
		"a flow led to the target": {
			flow{protocol: UDP, orig: tuple{at("192.0.2.2:9"), at("192.0.2.1:99")}, reply: tuple{at("10.128.1.2:5353"), at("192.0.2.2:9")}}, true,
		},
		"a flow to the host port before it was published": {
			flow{protocol: UDP, orig: tuple{at("192.0.2.2:9"), at("192.0.2.1:53")}, reply: tuple{at("192.0.2.1:53"), at("192.0.2.2:9")}}, true,
		},
		"another port": {
			flow{protocol: UDP, orig: tuple{at("192.0.2.2:9"), at("192.0.2.1:54")}, reply: tuple{at("192.0.2.1:54"), at("192.0.2.2:9")}}, false,
		},
		"TCP": {
			flow{protocol: TCP, orig: tuple{at("192.0.2.2:9"), at("192.0.2.1:53")}, reply: tuple{at("192.0.2.1:53"), at("192.0.2.2:9")}}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.flow.concerns([]Port{p}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
