package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/google/nftables"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
	"github.com/mycompose/mycompose/network/port"
)

func (r *rig) network(n spec.Network) {
	r.t.Helper()
	if _, err := r.engine.CreateNetwork(r.t.Context(), n); err != nil {
		r.t.Fatal(err)
	}
}

// on puts a blueprint on networks, with aliases.
func on(b spec.Blueprint, networks ...spec.Attachment) spec.Blueprint {
	b.NetworkMode, b.Networks = modeBridge, networks
	return b
}

// serve is a script that answers each connection to a port with a word.
func serve(port int, word string) string {
	return fmt.Sprintf("while :; do echo %s | nc -l -p %d; done", word, port)
}

// eventuallyRun runs a script until it succeeds, and returns its output.
func (r *rig) eventuallyRun(id, script string) (out string) {
	r.t.Helper()
	kerneltest.Eventually(r.t, patience, func() error {
		var code int
		if out, code = r.run(id, script); code != 0 {
			return fmt.Errorf("%s: code %d, output %q", script, code, out)
		}
		return nil
	})
	return out
}

func TestContainersOnANetworkFindEachOther(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "front"})
	r.network(spec.Network{Name: "back", Internal: true})
	web := r.start(on(shell("web-1", serve(80, "front")), spec.Attachment{Network: "front", Aliases: []string{"web"}}))
	db := r.start(on(shell("db-1", serve(80, "back")), spec.Attachment{Network: "back", Aliases: []string{"db"}}))
	both := r.start(on(shell("both-1", forever), spec.Attachment{Network: "front"}, spec.Attachment{Network: "back"}))
	for name, want := range map[string]string{"web": "front", "web-1": "front", "db": "back", "db-1": "back", "WEB": "front"} {
		if got := r.eventuallyRun(both, "nc "+name+" 80 </dev/null"); strings.TrimSpace(got) != want {
			t.Errorf("%s answered %q", name, got)
		}
	}
	if out, code := r.run(web, "nslookup db"); code == 0 {
		t.Errorf("web sees db, which is on another network: %s", out)
	}
	if out, code := r.run(db, "nslookup nothing.example"); code == 0 || !strings.Contains(out, "NXDOMAIN") {
		t.Errorf("an internal network asks others: %d, %s", code, out)
	}
	r.stop(web)
	if out, code := r.run(both, "nslookup web"); code == 0 {
		t.Errorf("a stopped container is still found: %s", out)
	}
	addr := r.status(both).Endpoints[0].IPv4
	r.stop(both)
	if err := r.engine.StartContainer(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	if now := r.status(both).Endpoints[0].IPv4; now != addr {
		t.Errorf("the address was %s and is %s", addr, now)
	}
}

func TestAllRunningReplicasAreAnswered(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	var addrs []string
	var asker string
	for i := range 3 {
		asker = r.start(on(shell(fmt.Sprintf("web-%d", i), forever), spec.Attachment{Network: "n", Aliases: []string{"web"}}))
		addrs = append(addrs, r.status(asker).Endpoints[0].IPv4)
	}
	out, _ := r.run(asker, "nslookup web")
	for _, a := range addrs {
		if !strings.Contains(out, a) {
			t.Errorf("%s is missing in %s", a, out)
		}
	}
}

func TestAddressIsKeptOverRecreate(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	at := spec.Attachment{Network: "n", LeaseKey: "web-1"}
	first := r.start(on(shell("web-1", forever), at))
	addr := r.status(first).Endpoints[0].IPv4
	r.stop(first)
	if err := r.engine.RemoveContainer(t.Context(), first, spec.Remove{KeepLog: true}); err != nil {
		t.Fatal(err)
	}
	r.start(on(shell("other", forever), spec.Attachment{Network: "n"}))
	second := r.start(on(shell("web-1", forever), at))
	if now := r.status(second).Endpoints[0].IPv4; now != addr {
		t.Errorf("the address was %s and is %s", addr, now)
	}
}

// ask connects to a port of the host and returns the line that comes.
func ask(addr string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	data, err := io.ReadAll(conn)
	return strings.TrimSpace(string(data)), err
}

func TestPublishedPortAnswersOnTheHostAndIsTakenForOthers(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(b)
	published := r.status(id).Ports
	if len(published) != 1 || published[0].HostPort == 0 {
		t.Fatalf("ports %+v", published)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", published[0].HostPort)
	answers := func() {
		t.Helper()
		kerneltest.Eventually(t, patience, func() error {
			got, err := ask(addr)
			if err == nil && got != "hello" {
				err = fmt.Errorf("answered %q", got)
			}
			return err
		})
	}
	answers()
	other := on(shell("other", forever), spec.Attachment{Network: "n"})
	other.Ports = []spec.Port{{HostPort: published[0].HostPort, ContainerPort: 81, Protocol: "tcp"}}
	errs := r.engine.Check(t.Context(), []spec.Blueprint{other}, nil, nil)
	if len(errs) != 1 || !errors.Is(errs[0], spec.ErrPortTaken) || !strings.Contains(errs[0].Error(), "container web of project t, ") || !strings.Contains(errs[0].Error(), " is free") {
		t.Errorf("check says %v", errs)
	}
	if errs := r.engine.Check(t.Context(), []spec.Blueprint{other}, nil, []string{id}); len(errs) > 0 {
		t.Errorf("check counts a container that will be gone: %v", errs)
	}
	otherID := r.create(other)
	if err := r.engine.StartContainer(t.Context(), otherID); !errors.Is(err, spec.ErrPortTaken) {
		t.Errorf("start on a taken port: %v", err)
	}
	r.reopen()
	answers()
	r.stop(id)
	if got, err := ask(addr); err == nil {
		t.Errorf("still answers %q", got)
	}
	f, err := port.Reserve(port.Binding{Protocol: port.TCP, Addr: netip.IPv4Unspecified(), Port: published[0].HostPort})
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	f.Close()
}

func TestPortOfAnotherProgramIsNamed(t *testing.T) {
	r := newRig(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", forever), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{HostPort: uint16(listener.Addr().(*net.TCPAddr).Port), ContainerPort: 80, Protocol: "tcp"}}
	errs := r.engine.Check(t.Context(), []spec.Blueprint{b}, nil, nil)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("check says %v", errs)
	}
}

func TestSharedNetworkAndHostNetwork(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	owner := r.start(on(shell("owner", forever), spec.Attachment{Network: "n"}))
	b := shell("guest", forever)
	b.NetworkMode = modeContainer + owner
	guest := r.start(b)
	own, _ := r.run(owner, "readlink /proc/self/ns/net")
	theirs, _ := r.run(guest, "readlink /proc/self/ns/net")
	if own == "" || own != theirs {
		t.Errorf("namespaces %q and %q", own, theirs)
	}
	b = shell("host", forever)
	b.NetworkMode = modeHost
	host := r.start(b)
	b = shell("guest-of-host", forever)
	b.NetworkMode = modeContainer + host
	of, _ := r.run(r.start(b), "cat /etc/resolv.conf")
	if hosts, _ := r.run(host, "cat /etc/resolv.conf"); of != hosts || strings.Contains(of, "127.0.0.11") {
		t.Errorf("who shares the host's network asks %q, not %q", of, hosts)
	}
	want, err := os.Readlink("/proc/thread-self/ns/net") // the first thread may be gone into another
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := r.run(host, "readlink /proc/self/ns/net"); strings.TrimSpace(got) != want {
		t.Errorf("host network is %q, want %q", got, want)
	}
}

func TestNetworkGoesWithAllThatItMade(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n", Pools: []spec.Pool{{Subnet: "10.213.77.0/24", Gateway: "10.213.77.9"}}})
	all, err := r.engine.Networks(t.Context())
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0].Pools, []spec.Pool{{Subnet: "10.213.77.0/24", Gateway: "10.213.77.9"}}) {
		t.Fatalf("networks %+v, %v", all, err)
	}
	if _, err := r.engine.CreateNetwork(t.Context(), spec.Network{Name: "m", Pools: []spec.Pool{{Subnet: "10.213.77.128/25"}}}); !errors.Is(err, spec.ErrInvalid) {
		t.Errorf("an overlapping subnet: %v", err)
	}
	if err := r.engine.RemoveNetwork(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	r.engine.bridges.wait()
	host, err := network.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if links, err := host.Links(r.engine.linkPrefix()); err != nil || len(links) > 0 {
		t.Errorf("links are left: %v, %v", links, err)
	}
}

// Somebody deletes our table, as "nft flush ruleset" does with all.
func TestADeletedTableIsMadeAgain(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	addr := fmt.Sprintf("127.0.0.1:%d", r.status(r.start(b)).Ports[0].HostPort)
	r.answers(addr, "hello")
	for range 3 {
		if err := firewall.Open(r.place.Tag, nil).Remove(); err != nil {
			t.Fatal(err)
		}
		r.answers(addr, "hello")
	}
}

// The whole on a kernel that, we say, has no nf_tables.
func TestRulesByIPTables(t *testing.T) {
	kerneltest.NeedRoot(t)
	save := func() string {
		out, err := exec.Command(kerneltest.NeedProgram(t, "iptables-legacy-save")).Output()
		kerneltest.NeedFeature(t, "ip_tables", err == nil)
		return string(out)
	}
	save()
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	r.iptables = true
	r.reopen()
	kerneltest.Eventually(t, patience, func() error {
		if r.shielded() {
			return errors.New("the shield knows only the networks of before")
		}
		return nil
	})
	if err := firewall.Open(r.place.Tag, nil).Remove(); err != nil {
		t.Fatal(err)
	}
	r.network(spec.Network{Name: "m"})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	web := r.start(b)
	addr := fmt.Sprintf("127.0.0.1:%d", r.status(web).Ports[0].HostPort)
	r.answers(addr, "hello")
	other := r.start(on(shell("other", forever), spec.Attachment{Network: "m"}))
	at := r.status(web).Endpoints[0].IPv4
	if out, code := r.run(other, "nc -w 1 "+at+" 80 </dev/null"); code == 0 && strings.Contains(out, "hello") {
		t.Errorf("another network is reached: %q", out)
	}
	r.reopen()
	r.answers(addr, "hello")
	r.stop(web)
	for _, id := range []string{web, other} {
		if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"n", "m"} {
		if err := r.engine.RemoveNetwork(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if left := save(); strings.Contains(left, r.place.Tag) {
		t.Errorf("left:\n%s", left)
	}
}

// A question that waited for the next engine is not told that a running
// container does not exist, in whatever order containers are taken up.
func TestNamesAreKnownBeforeQuestionsAreAnswered(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	asker := r.start(on(shell("a", forever), spec.Attachment{Network: "n"}))
	for i := range 8 {
		r.start(on(shell(fmt.Sprintf("z%d", i), forever), spec.Attachment{Network: "n"}))
	}
	_, err := r.engine.Exec(t.Context(), spec.Exec{Container: asker, Args: []string{"/bin/sh", "-c",
		"while :; do for i in 0 1 2 3 4 5 6 7; do nslookup -type=a z$i. >/tmp/out || cat /tmp/out >>/tmp/failed; done; done"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.reopen()
		r.eventuallyRun(asker, "rm -f /tmp/out; while ! test -e /tmp/out; do :; done")
	}
	if out, _ := r.run(asker, "cat /tmp/failed 2>/dev/null"); out != "" {
		t.Errorf("lookups failed: %s", out)
	}
}

// Whoever may flush the rules of a namespace leaves the names of all in it alone:
// the container that has the network, and one that shares it.
func TestNamesOutliveAFlushInside(t *testing.T) {
	for _, name := range []string{"the container's", "another's that shares its network"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.network(spec.Network{Name: "n"})
			b := on(shell("a", forever), spec.Attachment{Network: "n"})
			other := shell("b", forever)
			other.CapAdd = []string{"net_admin"}
			if name == "the container's" {
				b.CapAdd, other.CapAdd = other.CapAdd, nil
			}
			id := r.start(b)
			other.NetworkMode = modeContainer + id
			r.start(other)
			for range 2 {
				r.flushInside(id)
				if out, code := r.run(id, "nslookup -type=a a."); code != 0 {
					t.Errorf("after a flush: %s", out)
				}
				r.reopen() // the keeper holds the rules on
			}
		})
	}
}

// flushInside is "nft flush ruleset" in a container's network namespace.
func (r *rig) flushInside(id string) {
	r.t.Helper()
	l, err := r.engine.life(id)
	if err != nil {
		r.t.Fatal(err)
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	inside, err := nftables.New(nftables.WithNetNSFd(int(l.held.netns.Fd())))
	if err == nil {
		inside.FlushRuleset()
		err = inside.Flush()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
