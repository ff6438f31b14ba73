package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func (r *rig) connect(id string, a spec.Attachment) {
	r.t.Helper()
	if err := r.engine.ConnectNetwork(r.t.Context(), id, a); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) disconnect(id, network string) {
	r.t.Helper()
	if err := r.engine.DisconnectNetwork(r.t.Context(), id, network); err != nil {
		r.t.Fatal(err)
	}
}

func TestConnectAndDisconnectWhileItRuns(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "a", Internal: true})
	r.network(spec.Network{Name: "b"})
	r.network(spec.Network{Name: "c"})
	web := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "a", Aliases: []string{"www"}})
	web.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(web)
	asker := r.start(on(shell("asker", forever), spec.Attachment{Network: "b"}))
	if out, code := r.run(asker, "nslookup web"); code == 0 {
		t.Errorf("web is found before it is there: %s", out)
	}

	r.connect(id, spec.Attachment{Network: "b", Aliases: []string{"db"}, LinkLocal: []string{"169.254.3.3"}})
	for _, name := range []string{"web", "db", "db.b"} {
		if got := r.eventuallyRun(asker, "nc "+name+" 80 </dev/null"); strings.TrimSpace(got) != "hello" {
			t.Errorf("%s answered %q", name, got)
		}
	}
	if out, _ := r.run(id, "ip addr show eth1; ip route"); !strings.Contains(out, "169.254.3.3") ||
		!strings.Contains(out, "default via "+r.networkNamed("b").Pools[0].Gateway+" dev eth1") {
		t.Errorf("links and routes: %s", out)
	}
	// It had no way out and none in: now the published port leads to it.
	s := r.status(id)
	if len(s.Endpoints) != 2 || len(s.Ports) != 1 {
		t.Fatalf("status %+v", s)
	}
	host := fmt.Sprintf("127.0.0.1:%d", s.Ports[0].HostPort)
	r.answers(host, "hello")
	if err := r.engine.ConnectNetwork(t.Context(), id, spec.Attachment{Network: "b"}); !errors.Is(err, spec.ErrConflict) {
		t.Errorf("connected twice: %v", err)
	}

	// Another uplink by its priority; a restart and a new daemon keep all.
	r.connect(id, spec.Attachment{Network: "c", GatewayPriority: 7})
	viaC := "default via " + r.networkNamed("c").Pools[0].Gateway + " dev eth2"
	if out, _ := r.run(id, "ip route"); !strings.Contains(out, viaC) || strings.Count(out, "default") != 1 {
		t.Errorf("routes: %s", out)
	}
	r.answers(host, "hello")
	r.reopen()
	r.answers(host, "hello")
	addrs := r.status(id).Endpoints
	r.stop(id)
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if now := r.status(id).Endpoints; !slices.Equal(now, addrs) {
		t.Errorf("endpoints were %+v and are %+v", addrs, now)
	}
	if out, _ := r.run(id, "ip route"); !strings.Contains(out, viaC) {
		t.Errorf("routes after a restart: %s", out)
	}
	if err := r.engine.RemoveNetwork(t.Context(), "c"); !errors.Is(err, spec.ErrInUse) {
		t.Errorf("a network in use was removed: %v", err)
	}

	r.disconnect(id, "c")
	if out, _ := r.run(id, "ip route"); strings.Contains(out, "eth2") || !strings.Contains(out, "default via "+r.networkNamed("b").Pools[0].Gateway) {
		t.Errorf("routes after disconnect: %s", out)
	}
	r.eventuallyRun(asker, "nc db 80 </dev/null")
	if err := r.engine.RemoveNetwork(t.Context(), "c"); err != nil {
		t.Error(err)
	}
	r.disconnect(id, "b")
	r.disconnect(id, "a")
	if out, code := r.run(asker, "nslookup db"); code == 0 {
		t.Errorf("db is still found: %s", out)
	}
	if out, _ := r.run(id, "ip -o addr"); strings.Contains(out, "eth") {
		t.Errorf("addresses are left: %s", out)
	}
	r.eventuallyRun(id, "[ $(ip -o link | wc -l) = 1 ]") // the links go beside
	if got, err := ask(s.Endpoints[0].IPv4 + ":80"); err == nil {
		t.Errorf("still answers %q", got)
	}
	if err := r.engine.DisconnectNetwork(t.Context(), id, "b"); !errors.Is(err, spec.ErrNotFound) {
		t.Errorf("disconnected twice: %v", err)
	}
	// On the network of its blueprint it is again who it was there.
	r.connect(id, spec.Attachment{Network: "a"})
	r.connect(asker, spec.Attachment{Network: "a"})
	r.eventuallyRun(asker, "nc www 80 </dev/null")
}

func TestInspectShowsWhatIsLive(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n", Pools: []spec.Pool{{Subnet: "10.213.82.0/24", IPRange: "10.213.82.64/26"}}})
	web := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n", Aliases: []string{"www"}})
	web.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(web)
	port := r.status(id).Ports[0].HostPort
	all, err := r.engine.Networks(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	d, err := r.engine.InspectNetwork(t.Context(), all[0].ID[:10])
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Attached) != 1 || d.Attached[0].ID != id || d.Attached[0].IPv4 != "10.213.82.64/24" || d.Attached[0].Link != "eth0" {
		t.Errorf("attached %+v", d.Attached)
	}
	if !slices.Equal(d.Names["www"], []string{"10.213.82.64"}) {
		t.Errorf("names %v", d.Names)
	}
	rules := strings.Join(d.Rules, "\n")
	for _, want := range []string{fmt.Sprintf("same %q . %q", d.Link, d.Link), fmt.Sprintf("published tcp . %d : 10.213.82.64 . 80", port)} {
		if !strings.Contains(rules, want) {
			t.Errorf("rules lack %s: %s", want, rules)
		}
	}
	for _, word := range []string{"", "nosuch", "ffffffffffffffff"} {
		if _, err := r.engine.InspectNetwork(t.Context(), word); !errors.Is(err, spec.ErrNotFound) {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func TestPruneLeavesWhatContainersWouldJoin(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"used", "stopped", "spare", "kept"} {
		r.network(spec.Network{Name: name})
	}
	r.start(on(shell("web", forever), spec.Attachment{Network: "used"}))
	r.create(on(shell("later", forever), spec.Attachment{Network: "stopped"}))
	gone, err := r.engine.PruneNetworks(t.Context(), func(n spec.Network) bool { return n.Name != "kept" })
	if err != nil || !slices.Equal(gone, []string{"spare"}) {
		t.Errorf("pruned %v, %v", gone, err)
	}
}
