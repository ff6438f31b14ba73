package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
)

// manyNetworks is how many networks stand at once; MYCOMPOSE_MANY_NETWORKS
// changes it (500 were run).
const manyNetworks = 60

// TestManyNetworks: of many networks none overlaps another, nor a route
// of the host.
func TestManyNetworks(t *testing.T) {
	r := newRig(t)
	// A link of somebody else's in the middle of the pool. Other routes of the
	// machine may come and go meanwhile, with other tests.
	theirs := network.Bridge{Name: "v" + r.place.Tag, Addresses: []netip.Prefix{netip.MustParsePrefix("10.128.30.1/23")}}
	err := r.engine.host.EnsureBridge(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		host, err := network.Open()
		if err != nil {
			t.Error(err)
			return
		}
		if err := errors.Join(host.RemoveBridges(theirs.Name), host.Close()); err != nil {
			t.Error(err)
		}
	})
	many := manyNetworks
	if text := os.Getenv("MYCOMPOSE_MANY_NETWORKS"); text != "" {
		if many, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range many {
		r.network(spec.Network{Name: fmt.Sprintf("n%d", i), EnableIPv6: i%20 == 0})
	}
	all, err := r.engine.Networks(t.Context())
	if err != nil || len(all) != many {
		t.Fatal(len(all), err)
	}
	var seen []netip.Prefix
	for _, n := range all {
		for _, p := range n.Pools {
			seen = append(seen, netip.MustParsePrefix(p.Subnet))
		}
	}
	slices.SortFunc(seen, netip.Prefix.Compare)
	for i, p := range seen {
		if i > 0 && seen[i-1].Overlaps(p) {
			t.Errorf("%s and %s overlap", seen[i-1], p)
		}
		if route := theirs.Addresses[0].Masked(); route.Overlaps(p) {
			t.Errorf("%s overlaps the host's route %s", p, route)
		}
	}
	// One that is asked for over the other's link is refused, and the link named.
	_, err = r.engine.CreateNetwork(t.Context(), spec.Network{Name: "over", Pools: []spec.Pool{{Subnet: "10.128.30.0/23"}}})
	if want := "10.128.30.0/23 dev " + theirs.Name; !errors.Is(err, spec.ErrInvalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("a subnet over another's: %v, want %s named", err, want)
	}
	if _, err := r.engine.PruneNetworks(t.Context(), func(spec.Network) bool { return true }); err != nil {
		t.Error(err)
	}
}

// TestAddressesStick: a replica keeps its address over restart, recreate and
// reboot, and nobody else gets one that was given back a moment ago.
func TestAddressesStick(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n", EnableIPv6: true})
	at := spec.Attachment{Network: "n", LeaseKey: "t-web-1"}
	web := r.start(on(shell("web", forever), at))
	was := r.status(web).Endpoints[0]
	same := func(what, id string) {
		t.Helper()
		if now := r.status(id).Endpoints[0]; now != was {
			t.Errorf("%s: the endpoint was %+v and is %+v", what, was, now)
		}
	}
	r.stop(web)
	other := r.start(on(shell("other", forever), spec.Attachment{Network: "n"}))
	if err := r.engine.StartContainer(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	same("restart", web)
	r.stop(web)
	if err := r.engine.RemoveContainer(t.Context(), web, spec.Remove{KeepLog: true}); err != nil {
		t.Fatal(err)
	}
	web = r.start(on(shell("web", forever), at))
	same("recreate", web)
	// After a reboot only what is stored is left.
	r.stop(web)
	r.stop(other)
	r.reopen()
	if err := r.engine.StartContainer(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StartContainer(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	same("reboot", web)
	// Given back for good it rests: the next ones get others.
	if err := r.engine.RemoveContainer(t.Context(), web, spec.Remove{Force: true}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		id := r.start(on(shell(fmt.Sprintf("next-%d", i), forever), spec.Attachment{Network: "n"}))
		if now := r.status(id).Endpoints[0]; now.IPv4 == was.IPv4 || now.IPv6 == was.IPv6 {
			t.Errorf("%+v was handed on at once", now)
		}
	}
}
