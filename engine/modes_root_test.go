package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
)

func TestOptionsOfABridgeNetwork(t *testing.T) {
	r := newRig(t)
	name := "t" + r.place.Tag
	r.network(spec.Network{Name: "n", Options: map[string]string{
		spec.OptionBridgeName: name, spec.OptionMTU: "1400", spec.OptionICC: "false", spec.OptionMasquerade: "false",
		spec.OptionHostIPv4: "127.0.0.1", spec.OptionIfPrefix: "lan",
	}})
	links, err := r.engine.host.Links(name)
	if err != nil || len(links) != 1 || links[0].Kind != "bridge" || links[0].MTU != 1400 {
		t.Fatalf("links %+v, %v", links, err)
	}
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n", Aliases: []string{"web"}})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	web := r.start(b)
	neighbour := on(shell("other", forever), spec.Attachment{Network: "n"})
	neighbour.CapAdd = []string{"NET_ADMIN"}
	other := r.start(neighbour)
	if out, _ := r.run(other, "ip addr show lan0"); !strings.Contains(out, "mtu 1400") {
		t.Errorf("link of a container: %s", out)
	}
	published := r.status(web).Ports
	if len(published) != 1 || published[0].HostIP != "127.0.0.1" {
		t.Fatalf("published on %+v", published)
	}
	kerneltest.Eventually(t, patience, func() error {
		got, err := ask(fmt.Sprintf("127.0.0.1:%d", published[0].HostPort))
		if err == nil && got != "hello" {
			err = fmt.Errorf("answered %q", got)
		}
		return err
	})
	// It answers, and not this neighbour: not directly, and not by the gateway.
	addr := r.status(web).Endpoints[0].IPv4
	if out, code := r.run(other, "nc -w 1 "+addr+" 80 </dev/null"); code == 0 {
		t.Errorf("a neighbour is reached in spite of enable_icc=false: %s", out)
	}
	r.eventuallyRun(other, "ip route add "+addr+"/32 via "+r.networkNamed("n").Pools[0].Gateway)
	if out, code := r.run(other, "nc -w 1 "+addr+" 80 </dev/null"); code == 0 {
		t.Errorf("a neighbour is reached by the gateway in spite of enable_icc=false: %s", out)
	}
	if _, err := r.engine.CreateNetwork(t.Context(), spec.Network{Name: "m", Options: map[string]string{spec.OptionBridgeName: "lo"}}); !errors.Is(err, spec.ErrConflict) {
		t.Errorf("a bridge called lo: %v", err)
	}
	_, err = r.engine.CreateNetwork(t.Context(), spec.Network{Name: "m", Options: map[string]string{spec.OptionBridgeName: name}})
	if !errors.Is(err, spec.ErrConflict) || !strings.Contains(err.Error(), "network n ") {
		t.Errorf("a bridge called as another network's: %v", err)
	}
	for option, value := range map[string]string{"com.docker.network.bridge.nane": "x", spec.OptionMTU: "9"} {
		_, err := r.engine.CreateNetwork(t.Context(), spec.Network{Name: "m", Options: map[string]string{option: value}})
		if !errors.Is(err, spec.ErrInvalid) || !strings.Contains(err.Error(), option) {
			t.Errorf("option %s: %v", option, err)
		}
	}
}

// networkNamed is one network of the engine.
func (r *rig) networkNamed(name string) spec.Network {
	r.t.Helper()
	all, err := r.engine.Networks(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range all {
		if n.Name == name {
			return n
		}
	}
	r.t.Fatalf("no network %s", name)
	return spec.Network{}
}

func TestALinkOfTheUsersNameIsCollectedAfterAKill(t *testing.T) {
	r := newRig(t)
	name := "t" + r.place.Tag
	for _, group := range []uint32{r.engine.linkGroup(), r.engine.parentGroup()} {
		half := network.Bridge{Name: name, Addresses: []netip.Prefix{netip.MustParsePrefix("10.213.78.1/24")}, Group: group}
		if err := r.engine.host.EnsureBridge(half); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		if links, err := r.engine.host.Links(name); err != nil || len(links) > 0 {
			t.Errorf("links are left: %v, %v", links, err)
		}
	}
}

func TestRangesReservedAddressesAndSeveralSubnets(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n", Pools: []spec.Pool{
		{Subnet: "10.213.79.0/24", IPRange: "10.213.79.128/31", Reserved: map[string]string{"printer": "10.213.79.129"}},
		{Subnet: "10.213.80.0/24", Gateway: "10.213.80.9"},
	}})
	var ids []string
	for i, want := range []string{"10.213.79.128", "10.213.80.1"} {
		id := r.start(on(shell(fmt.Sprintf("c%d", i), serve(80, "hello")), spec.Attachment{Network: "n"}))
		if got := r.status(id).Endpoints[0].IPv4; got != want {
			t.Errorf("address %s, want %s", got, want)
		}
		ids = append(ids, id)
	}
	fixed := r.start(on(shell("fixed", forever), spec.Attachment{Network: "n", IPv4Address: "10.213.79.7", MACAddress: "02:42:00:00:77:01"}))
	if out, _ := r.run(fixed, "ip addr show eth0"); !strings.Contains(out, "10.213.79.7/24") || !strings.Contains(out, "02:42:00:00:77:01") {
		t.Errorf("fixed addresses: %s", out)
	}
	if out, _ := r.run(ids[1], "ip route"); !strings.Contains(out, "default via 10.213.80.9") {
		t.Errorf("routes in the second subnet: %s", out)
	}
	r.eventuallyRun(ids[1], "nc c0 80 </dev/null") // from subnet to subnet
	taken := r.create(on(shell("taken", forever), spec.Attachment{Network: "n", IPv4Address: "10.213.79.7"}))
	if err := r.engine.StartContainer(t.Context(), taken); err == nil || !strings.Contains(err.Error(), "10.213.79.7") {
		t.Errorf("a taken address: %v", err)
	}
}

func TestLinksInsideAsTheServiceSays(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "a"})
	r.network(spec.Network{Name: "b"})
	r.network(spec.Network{Name: "c", Internal: true})
	id := r.start(on(shell("web", forever),
		spec.Attachment{Network: "a", LinkLocal: []string{"169.254.7.7", "fe80::7"}},
		spec.Attachment{Network: "b", GatewayPriority: 5, Priority: 9},
		spec.Attachment{Network: "c", InterfaceName: "eth0", GatewayPriority: 99},
	))
	out, _ := r.run(id, "ip addr")
	for _, want := range []string{"169.254.7.7/16", "fe80::7/64", "eth0@", "eth1@", "eth2@"} {
		if !strings.Contains(out, want) {
			t.Errorf("links lack %s: %s", want, out)
		}
	}
	s := r.status(id)
	if len(s.Endpoints) != 3 || s.Endpoints[0].Network != "b" {
		t.Errorf("endpoints %+v", s.Endpoints)
	}
	route, _ := r.run(id, "ip route show default")
	if want := "default via " + r.networkNamed("b").Pools[0].Gateway + " dev eth1"; !strings.Contains(route, want) {
		t.Errorf("route %q, want %q", route, want)
	}
}

func TestASubnetThatTakesARouteAwayNamesIt(t *testing.T) {
	r := newRig(t)
	other := network.Bridge{Name: network.LinkName(r.engine.linkPrefix()), Addresses: []netip.Prefix{netip.MustParsePrefix("10.213.81.1/24")}}
	if err := r.engine.host.EnsureBridge(other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.engine.host.RemoveBridges(other.Name); err != nil {
			t.Error(err)
		}
	})
	_, err := r.engine.CreateNetwork(t.Context(), spec.Network{Name: "n", Pools: []spec.Pool{{Subnet: "10.213.80.0/23"}}})
	if !errors.Is(err, spec.ErrInvalid) || !strings.Contains(err.Error(), "10.213.81.0/24 dev "+other.Name) {
		t.Errorf("got %v", err)
	}
}
