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
	through []string
}

func (d *doorRules) Ensure(firewall.State) error                 { return nil }
func (d *doorRules) Change(firewall.State, firewall.State) error { return nil }
func (d *doorRules) Remove() error                               { return nil }

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
