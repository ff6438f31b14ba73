package engine

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mycompose/mycompose/network/firewall"
)

// doorRules notes which links are let through the forward chains of others.
type doorRules struct {
	packetRules
	through, strangers []string
}

func (d *doorRules) Ensure(s firewall.State) error {
	d.strangers = slices.Clone(s.Strangers)
	return nil
}

func (d *doorRules) Change(add, remove firewall.State) error {
	d.strangers = slices.DeleteFunc(d.strangers, func(l string) bool { return slices.Contains(remove.Strangers, l) })
	d.strangers = append(d.strangers, add.Strangers...)
	return nil
}

func (d *doorRules) Remove() error { return nil }

func (d *doorRules) Admit(links ...string) error {
	for _, l := range links {
		if !slices.Contains(d.through, l) {
			d.through = append(d.through, l)
		}
	}
	return nil
}

func (d *doorRules) Dismiss(links ...string) error {
	d.through = slices.DeleteFunc(d.through, func(l string) bool { return slices.Contains(links, l) })
	return nil
}

func TestBridgesWithAUsersNameAreLetThroughWhileTheyStand(t *testing.T) {
	d := &doorRules{}
	r := newRules(d, "mc0badcafe")
	network := func(bridge string) firewall.State {
		return firewall.State{Networks: []firewall.Network{{Bridge: bridge, Subnet: netip.MustParsePrefix("10.128.1.0/24")}}}
	}
	none := firewall.State{}
	for i, step := range []struct {
		add, remove firewall.State
		want        []string
	}{
		{network("mc0badcafe12345"), none, []string{"mc0badcafe+"}},
		{network("br-own"), none, []string{"br-own", "mc0badcafe+"}},
		{network("br-two"), none, []string{"br-own", "br-two", "mc0badcafe+"}},
		{none, network("br-own"), []string{"br-two", "mc0badcafe+"}},
		{none, network("mc0badcafe12345"), []string{"br-two", "mc0badcafe+"}},
		{none, network("br-two"), []string{}},
		{network("br-own"), none, []string{"br-own", "mc0badcafe+"}},
	} {
		if err := r.change(step.add, step.remove); err != nil {
			t.Fatal(err)
		}
		slices.Sort(d.through)
		if !slices.Equal(d.through, step.want) {
			t.Errorf("step %d: %v are let through, want %v", i, d.through, step.want)
		}
	}
}

// dockerd may come before us, or after, and its bridges come and go.
func TestBridgesOfOtherEnginesAreInTheTable(t *testing.T) {
	d := &doorRules{}
	r := newRules(d, "mc0badcafe")
	ours := firewall.State{Networks: []firewall.Network{{Bridge: "mc0badcafe12345", Subnet: netip.MustParsePrefix("10.128.1.0/24")}}}
	check := func(err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if slices.Sort(d.strangers); !slices.Equal(d.strangers, want) {
			t.Errorf("strangers are %v, want %v", d.strangers, want)
		}
	}
	check(r.estrange([]string{"docker0"})) // there is no table yet
	check(r.change(ours, firewall.State{}), "docker0")
	check(r.estrange([]string{"br-0123456789ab", "docker0"}), "br-0123456789ab", "docker0")
	check(r.estrange([]string{"br-0123456789ab", "docker0"}), "br-0123456789ab", "docker0")
	check(r.estrange([]string{"docker0"}), "docker0")
	check(r.estrange(nil))
}
