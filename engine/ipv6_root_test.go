package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// readHost reads a setting of the host.
func readHost(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/sys/net/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestIPv6NeedsNothingButTheSwitch(t *testing.T) {
	needIPv6(t)
	r := newRig(t)
	before := readHost(t, "ipv6/conf/all/forwarding")
	r.network(spec.Network{Name: "n", EnableIPv6: true})
	r.network(spec.Network{Name: "far", EnableIPv6: true})
	r.network(spec.Network{Name: "inner", EnableIPv6: true, Internal: true})
	n := r.networkNamed("n")
	if len(n.Pools) != 2 || !strings.HasPrefix(n.Pools[1].Subnet, "fd6d:") || !strings.HasSuffix(n.Pools[1].Subnet, "::/64") {
		t.Fatalf("pools %+v", n.Pools)
	}
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n", Aliases: []string{"web"}, LeaseKey: "web-1"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	web := r.start(b)
	asker := r.start(on(shell("asker", forever), spec.Attachment{Network: "n"}))
	addr := r.status(web).Endpoints[0].IPv6
	if !strings.HasPrefix(addr, "fd6d:") {
		t.Fatalf("address %q", addr)
	}
	// It may be used at once: nobody waits for duplicate address detection.
	if out, _ := r.run(web, "ip -6 addr show eth0; ip -6 route"); strings.Contains(out, "tentative") || !strings.Contains(out, addr) ||
		!strings.Contains(out, "default via "+n.Pools[1].Gateway) {
		t.Errorf("addresses and routes: %s", out)
	}
	if out, code := r.run(asker, "nslookup -type=aaaa web"); code != 0 || !strings.Contains(out, addr) {
		t.Errorf("AAAA: %s", out)
	}
	r.eventuallyRun(asker, "nc "+addr+" 80 </dev/null")
	port := r.status(web).Ports[0].HostPort
	// By both families, by the host's own address, and by ::1 (the proxy).
	for _, host := range []string{"127.0.0.1", "[::1]", "[" + n.Pools[1].Gateway + "]"} {
		r.answers(fmt.Sprintf("%s:%d", host, port), "hello")
	}
	r.eventuallyRun(asker, fmt.Sprintf("nc %s %d </dev/null", n.Pools[1].Gateway, port)) // hairpin

	// Other networks are not reached, not by way of a gateway either.
	far := r.start(on(shell("far", forever), spec.Attachment{Network: "far"}))
	inner := r.start(on(shell("inner", serve(80, "inner")), spec.Attachment{Network: "inner"}))
	for _, script := range []string{"nc -w 1 " + addr + " 80 </dev/null", "ping -6 -c 1 -W 1 " + n.Pools[1].Gateway} {
		if out, code := r.run(far, script); code == 0 {
			t.Errorf("%s works from another network: %s", script, out)
		}
	}
	if out, code := r.run(inner, "nc -w 1 "+addr+" 80 </dev/null"); code == 0 {
		t.Errorf("an internal network leads out: %s", out)
	}
	if out, _ := r.run(inner, "ip -6 route show default"); strings.TrimSpace(out) != "" {
		t.Errorf("an internal network has a default route: %s", out)
	}

	// Restart, recreate and a new daemon keep the address.
	r.reopen()
	r.answers(fmt.Sprintf("[%s]:%d", n.Pools[1].Gateway, port), "hello")
	r.stop(web)
	if err := r.engine.RemoveContainer(t.Context(), web, spec.Remove{KeepLog: true}); err != nil {
		t.Fatal(err)
	}
	web = r.start(b)
	if now := r.status(web).Endpoints[0].IPv6; now != addr {
		t.Errorf("the address was %s and is %s", addr, now)
	}
	fixed := r.start(on(shell("fixed", forever), spec.Attachment{Network: "n", IPv6Address: strings.TrimSuffix(n.Pools[1].Subnet, "/64") + "77"}))
	if got := r.status(fixed).Endpoints[0].IPv6; !strings.HasSuffix(got, "::77") {
		t.Errorf("static address %s", got)
	}
	if got := readHost(t, "ipv6/conf/all/forwarding"); got != "1" {
		t.Errorf("IPv6 forwarding is %s", got)
	}
	r.end6(web, asker, far, inner, fixed)
	if got := readHost(t, "ipv6/conf/all/forwarding"); got != before {
		t.Errorf("IPv6 forwarding was %s and is %s", before, got)
	}
}

// end6 removes containers and all networks.
func (r *rig) end6(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		if err := r.engine.RemoveContainer(r.t.Context(), id, spec.Remove{Force: true}); err != nil {
			r.t.Error(err)
		}
	}
	if _, err := r.engine.PruneNetworks(r.t.Context(), func(spec.Network) bool { return true }); err != nil {
		r.t.Error(err)
	}
}

// The best network may have no IPv6: another gives the way out for it.
func TestEachFamilyHasItsOwnWayOut(t *testing.T) {
	needIPv6(t)
	r := newRig(t)
	r.network(spec.Network{Name: "four"})
	r.network(spec.Network{Name: "both", EnableIPv6: true})
	four, both := r.networkNamed("four").Pools, r.networkNamed("both").Pools
	want := func(id, v4, v6 string) {
		t.Helper()
		out, _ := r.run(id, "ip route show default; ip -6 route show default")
		if strings.Count(out, "default") != 2 || !strings.Contains(out, "via "+v4+" ") || !strings.Contains(out, "via "+v6+" ") {
			t.Errorf("want %s and %s, routes: %s", v4, v6, out)
		}
	}
	best := spec.Attachment{Network: "four", GatewayPriority: 5}
	id := r.start(on(shell("a", forever), best, spec.Attachment{Network: "both"}))
	want(id, four[0].Gateway, both[1].Gateway)
	r.disconnect(id, "four")
	want(id, both[0].Gateway, both[1].Gateway)
	r.connect(id, best)
	want(id, four[0].Gateway, both[1].Gateway)
	r.end6(id)
}
