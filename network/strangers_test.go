package network_test

import (
	"context"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// TestContainersOfOtherEnginesAreReachedAsFromElsewhere: what dockerd publishes is
// for our containers too, and nothing else of its containers is.
func TestContainersOfOtherEnginesAreReachedAsFromElsewhere(t *testing.T) {
	everyWay(t, func(t *testing.T, w *world) {
		ours := w.container(2, false, w.network(1, false))
		w.serve(ours, "ours", 80)
		w.publish(both("", 8080, "10.128.1.2:80")...)
		theirs := w.dockerContainer()
		w.serve(theirs, "theirs", 80)
		for _, protocol := range []string{"tcp", "udp"} {
			w.program("iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-p", protocol, "-d", hostAddr, "--dport", "8090", "-j", "DNAT", "--to-destination", "172.17.0.2:80")
		}
		w.reaches(ours, "172.17.0.2:80", "theirs")
		names, err := w.net.Strangers()
		w.must(err)
		if !slices.Equal(names, []string{"docker0"}) {
			t.Fatalf("strangers are %v", names)
		}
		strangers := firewall.State{Strangers: names}
		w.must(w.table.Change(strangers, firewall.State{}))
		w.cannotReach(ours, "172.17.0.2:80")
		w.reaches(ours, hostAddr+":8090", "theirs")
		w.reaches(w.host, "172.17.0.2:80", "theirs")
		w.reaches(theirs, hostAddr+":8080", "ours")
		w.cannotReach(theirs, "10.128.1.2:80")
		w.must(w.table.Change(firewall.State{}, strangers))
		w.reaches(ours, "172.17.0.2:80", "theirs")
	})
}

// While somebody has deleted our table alone, chains of others still let our packets
// through: the shield knows the bridges of other engines.
func TestContainersOfOtherEnginesAreShutWhileTheTableIsGone(t *testing.T) {
	w := newWorld(t)
	ours := w.container(2, false, w.network(1, false))
	theirs := w.dockerContainer()
	w.serve(theirs, "theirs", 80)
	for _, protocol := range []string{"tcp", "udp"} {
		w.program("iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-p", protocol, "-d", hostAddr, "--dport", "8090", "-j", "DNAT", "--to-destination", "172.17.0.2:80")
	}
	strangers := firewall.Shielded{Strangers: []string{"docker0"}}
	w.must(firewall.ChangeShield(w.shield, tag, strangers, firewall.Shielded{}))
	w.program("nft", "delete", "table", "inet", firewall.TableName(tag))
	w.cannotReach(ours, "172.17.0.2:80")
	w.reaches(ours, hostAddr+":8090", "theirs")
	w.reaches(w.host, "172.17.0.2:80", "theirs")
	w.must(firewall.ChangeShield(w.shield, tag, firewall.Shielded{}, strangers))
	w.reaches(ours, "172.17.0.2:80", "theirs")
}

// dockerContainer plugs a namespace into a bridge as dockerd makes it.
func (w *world) dockerContainer() *kerneltest.NetNS {
	w.t.Helper()
	c := kerneltest.NewNetNS(w.t)
	h, inside := w.handle(w.host), w.handle(c)
	defer h.Close()
	defer inside.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "docker0"}}
	w.must(h.LinkAdd(bridge))
	w.must(h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "veth1234567", MasterIndex: bridge.Index}, PeerName: "eth0",
		PeerNamespace: netlink.NsFd(c.File.Fd()),
	}))
	l, err := h.LinkByName("veth1234567")
	w.must(err)
	w.must(h.LinkSetUp(l))
	w.addressed(h, "docker0", "172.17.0.1/16")
	w.addressed(inside, "eth0", "172.17.0.2/16")
	w.route(c, "172.17.0.1")
	return c
}

func TestBridgesOfOtherEnginesAreSeenWhenTheyCome(t *testing.T) {
	kerneltest.NeedRoot(t)
	ns := kerneltest.NewNetNS(t)
	host, err := network.OpenIn(ns.File)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan []string, 100)
	watched := make(chan error, 1)
	go func() {
		watched <- host.WatchLinks(ctx, func() {
			names, _ := host.Strangers()
			seen <- names
		}, func(network.Link) {})
	}()
	await := func(want ...string) {
		t.Helper()
		for {
			select {
			case got := <-seen:
				if slices.Equal(got, want) {
					return
				}
			case <-t.Context().Done():
				t.Fatalf("%v was never seen", want)
			}
		}
	}
	await()
	ns.Do(t, func() error {
		for _, name := range []string{"br-lan", "br0", "br-0123456789ab"} {
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
				return err
			}
		}
		return nil
	})
	await("br-0123456789ab")
	ns.Do(t, func() error {
		return netlink.LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-0123456789ab"}})
	})
	await()
	cancel()
	if err := <-watched; err != nil {
		t.Error(err)
	}
}
