package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network/firewall"
)

// The table that keeps containers from the host's loopback through a flush: it
// outlives an engine by the keeper, and goes with the last network.
func TestTheShieldStandsWhileThereAreNetworks(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	r.network(spec.Network{Name: "m"})
	if !r.shielded() {
		t.Fatal("there is none")
	}
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if !r.shielded() {
		t.Error("it went with an engine")
	}
	r.open()
	for i, name := range []string{"n", "m", "n"} { // one after the last goes, too
		if i == 2 {
			r.network(spec.Network{Name: name})
		}
		if !r.shielded() {
			t.Errorf("it does not stand before the end of network %d", i)
		}
		if err := r.engine.RemoveNetwork(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	kerneltest.Eventually(t, patience, func() error {
		if r.shielded() {
			return errors.New("it is left")
		}
		return nil
	})
}

// A shield that could not be raised with the first network, as that of the engine
// before us stood yet, is raised with the next, and knows both.
func TestAShieldRaisedLateKnowsAllNetworks(t *testing.T) {
	r := newRig(t)
	socket, err := firewall.Shield(r.place.Tag, firewall.Shielded{})
	if err != nil {
		t.Fatal(err)
	}
	r.network(spec.Network{Name: "n"})
	defer socket.Close()
	if err := firewall.DropShield(socket, r.place.Tag); err != nil {
		t.Fatal(err)
	}
	r.network(spec.Network{Name: "m"})
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: firewall.TableName(r.place.Tag) + "_shield", Family: nftables.TableFamilyINet}
	same, err := conn.GetSetByName(table, "same")
	if err != nil {
		t.Fatal(err)
	}
	if known, err := conn.GetSetElements(same); err != nil || len(known) != 2 {
		t.Errorf("it knows %d networks (%v), want 2", len(known), err)
	}
}

// One that the keeper holds for an earlier build is replaced.
func TestTheShieldOfAnEarlierBuildIsReplaced(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	kept := r.keeper.kept[shieldHolder]
	kept["shield of networks"] = kept[shieldSocket]
	delete(kept, shieldSocket)
	r.open()
	kept = r.keeper.kept[shieldHolder]
	if len(kept) != 1 || kept[shieldSocket] == nil || !r.shielded() {
		t.Errorf("the keeper has %v", kept)
	}
	r.network(spec.Network{Name: "m"})
}

// It knows the bridges of other engines, those that come and those that stand.
func TestTheShieldKnowsOtherEngines(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	name := "br-" + r.place.Tag + "0000" // as dockerd names them
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	gone := sync.OnceFunc(func() {
		if err := netlink.LinkDel(bridge); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(gone)
	r.eventuallyEstranged(name, true)
	if err := r.engine.RemoveNetwork(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	r.network(spec.Network{Name: "m"}) // with a shield of its own
	r.eventuallyEstranged(name, true)
	gone()
	r.eventuallyEstranged(name, false)
}

// eventuallyEstranged waits until the shield knows a bridge of another engine, or
// does not know it any more.
func (r *rig) eventuallyEstranged(name string, want bool) {
	r.t.Helper()
	conn, err := nftables.New()
	if err != nil {
		r.t.Fatal(err)
	}
	table := &nftables.Table{Name: firewall.TableName(r.place.Tag) + "_shield", Family: nftables.TableFamilyINet}
	kerneltest.Eventually(r.t, patience, func() error {
		set, err := conn.GetSetByName(table, "strangers")
		if err != nil {
			return err
		}
		all, err := conn.GetSetElements(set)
		is := func(e nftables.SetElement) bool { return strings.TrimRight(string(e.Key), "\x00") == name }
		if err == nil && slices.ContainsFunc(all, is) != want {
			err = fmt.Errorf("%s in it: %t", name, !want)
		}
		return err
	})
}

// The rules know bridges by their link group: who takes one out of it opens nothing
// for long.
func TestABridgeThatSomebodyTookOutOfItsGroupIsPutBack(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	name := r.engine.bridge("n").rec.Bridge
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []int{0, 7} {
		if err := netlink.LinkSetGroup(link, group); err != nil {
			t.Fatal(err)
		}
		kerneltest.Eventually(t, patience, func() error {
			links, err := r.engine.host.Links(name)
			if err == nil && links[0].Group != r.engine.linkGroup() {
				err = fmt.Errorf("it is in group %d", links[0].Group)
			}
			return err
		})
	}
}

func (r *rig) shielded() bool {
	r.t.Helper()
	conn, err := nftables.New()
	if err != nil {
		r.t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, table := range tables {
		if table.Name == "mycompose_"+r.place.Tag+"_shield" {
			return true
		}
	}
	return false
}
