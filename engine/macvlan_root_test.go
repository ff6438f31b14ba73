package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
)

// lan is a wire from a link of the host to another machine on it.
type lan struct {
	parent  string
	machine *kerneltest.NetNS
}

// newLAN gives the other machine 10.213.90.9 and fd6d:90::9.
func newLAN(t *testing.T, r *rig) lan {
	t.Helper()
	l := lan{parent: "v" + r.place.Tag, machine: kerneltest.NewNetNS(t)}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: l.parent}, PeerName: "lan", PeerNamespace: netlink.NsFd(l.machine.File.Fd()),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil {
			t.Error(err)
		}
	})
	if err := netlink.LinkSetUp(pair); err != nil {
		t.Fatal(err)
	}
	l.machine.Do(t, func() error {
		link, err := netlink.LinkByName("lan")
		if err != nil {
			return err
		}
		for _, word := range []string{"10.213.90.9/24", "fd6d:90::9/64"} {
			addr, err := netlink.ParseAddr(word)
			if err != nil {
				return err
			}
			if strings.Contains(word, ":") {
				addr.Flags = 0x02 // IFA_F_NODAD
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(link)
	})
	return l
}

// ask connects from the machine and returns what is answered.
func (l lan) ask(addr string) (string, error) {
	var text string
	err := l.machine.Try(func() error {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		data, err := io.ReadAll(conn)
		text = strings.TrimSpace(string(data))
		return err
	})
	return text, err
}

// needKind skips where the kernel cannot make links of a kind.
func needKind(t *testing.T, kind network.LinkKind) {
	t.Helper()
	kerneltest.NeedRoot(t)
	err := network.CanMake(kind)
	if err != nil && !errors.Is(err, network.ErrNoModule) {
		t.Fatal(err)
	}
	kerneltest.NeedFeature(t, string(kind)+" links", err == nil)
}

// TestMacvlan is the macvlan column of the reach matrix.
func TestMacvlan(t *testing.T) {
	needKind(t, network.Macvlan)
	needIPv6(t)
	r := newRig(t)
	l := newLAN(t, r)
	r.network(spec.Network{Name: "n"})
	r.network(spec.Network{
		Name: "lan", Driver: "macvlan", EnableIPv6: true, Options: map[string]string{"parent": l.parent, "macvlan_mode": "bridge"},
		Pools: []spec.Pool{
			{Subnet: "10.213.90.0/24", Gateway: "10.213.90.9", IPRange: "10.213.90.64/26"},
			{Subnet: "fd6d:90::/64", Gateway: "fd6d:90::9"},
		},
	})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "lan", Aliases: []string{"web"}, MACAddress: "02:42:00:00:90:01"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	web := r.start(b)
	near := r.start(on(shell("near", forever), spec.Attachment{Network: "lan"}))
	far := r.start(on(shell("far", forever), spec.Attachment{Network: "n"}))
	at := r.status(web).Endpoints[0]
	if at.IPv4 != "10.213.90.64" || at.MAC != "02:42:00:00:90:01" {
		t.Errorf("endpoint %+v", at)
	}
	r.eventuallyRun(near, "nc web 80 </dev/null") // name and neighbour
	for _, addr := range []string{at.IPv4 + ":80", "[" + at.IPv6 + "]:80"} {
		kerneltest.Eventually(t, patience, func() error { // in from another machine
			got, err := l.ask(addr)
			if err == nil && got != "hello" {
				err = fmt.Errorf("answered %q", got)
			}
			return err
		})
	}
	for _, addr := range []string{"10.213.90.9", "fd6d:90::9"} { // out
		r.eventuallyRun(near, "ping -c 1 -W 5 "+addr)
	}
	if out, _ := r.run(web, "ip route; ip -6 route"); !strings.Contains(out, "default via 10.213.90.9 dev eth0") || !strings.Contains(out, "default via fd6d:90::9 dev eth0") {
		t.Errorf("routes: %s", out)
	}
	// Whatever answers there, by the host's own routes, is not the container.
	if out, _ := r.run(far, "nc -w 1 "+at.IPv4+" 80 </dev/null"); strings.Contains(out, "hello") {
		t.Errorf("another network reaches it: %s", out)
	}
	// A published port leads nowhere: the container is reached by its own address.
	if d, err := r.engine.InspectNetwork(t.Context(), "lan"); err != nil || d.Link != l.parent || len(d.Rules) > 0 || len(d.Attached) != 2 {
		t.Errorf("details %+v, %v", d, err)
	}
	// Another daemon, connect and disconnect work as on a bridge.
	r.reopen()
	r.connect(far, spec.Attachment{Network: "lan"})
	r.eventuallyRun(far, "nc web 80 </dev/null")
	r.disconnect(far, "lan")
	if out, _ := r.run(far, "ip -o link"); strings.Contains(out, "eth1") {
		t.Errorf("links: %s", out)
	}
	r.end6(web, near, far)
	if _, err := netlink.LinkByName(l.parent); err != nil {
		t.Errorf("the user's parent is gone: %v", err)
	}
}

func TestPrivateMacvlanKeepsNeighboursApart(t *testing.T) {
	needKind(t, network.Macvlan)
	r := newRig(t)
	l := newLAN(t, r)
	r.network(spec.Network{
		Name: "lan", Driver: "macvlan", Options: map[string]string{"parent": l.parent, "macvlan_mode": "private"},
		Pools: []spec.Pool{{Subnet: "10.213.90.0/24", Gateway: "10.213.90.9"}},
	})
	web := r.start(on(shell("web", serve(80, "hello")), spec.Attachment{Network: "lan"}))
	near := r.start(on(shell("near", forever), spec.Attachment{Network: "lan"}))
	addr := r.status(web).Endpoints[0].IPv4
	kerneltest.Eventually(t, patience, func() error { _, err := l.ask(addr + ":80"); return err })
	if out, code := r.run(near, "nc -w 1 "+addr+" 80 </dev/null"); code == 0 {
		t.Errorf("a neighbour is reached: %s", out)
	}
}

// TestWhatTheKernelLacksIsNamed asks for every kind of link that a network may
// need: it works, or the error names the module.
func TestWhatTheKernelLacksIsNamed(t *testing.T) {
	r := newRig(t)
	l := newLAN(t, r)
	for _, c := range []struct {
		driver, parent, module string
		made                   bool
	}{
		{"ipvlan", l.parent, "ipvlan", false},
		{"macvlan", l.parent + ".7", "8021q", true},
		{"macvlan", "", "dummy", true},
	} {
		n := spec.Network{Name: "lan", Driver: c.driver, Pools: []spec.Pool{{Subnet: "10.213.91.0/24"}}}
		if c.parent != "" {
			n.Options = map[string]string{"parent": c.parent}
		}
		if len(c.parent) > 15 {
			t.Fatalf("parent %s is too long", c.parent)
		}
		_, err := r.engine.CreateNetwork(t.Context(), n)
		if err != nil {
			if !errors.Is(err, spec.ErrUnavailable) || !strings.Contains(err.Error(), "module "+c.module) {
				t.Errorf("%s on %q: %v", c.driver, c.parent, err)
			}
			continue
		}
		d, err := r.engine.InspectNetwork(t.Context(), "lan")
		if err != nil {
			t.Fatal(err)
		}
		// What the rules say of our bridges is not said of it.
		if links, err := r.engine.host.Links(d.Link); err != nil || len(links) == 0 || c.made && links[0].Group != r.engine.parentGroup() {
			t.Errorf("parent %+v, %v", links, err)
		}
		_, err = r.engine.CreateNetwork(t.Context(), spec.Network{Name: "m", Options: map[string]string{spec.OptionBridgeName: d.Link}})
		if !errors.Is(err, spec.ErrConflict) || !strings.Contains(err.Error(), "network lan ") {
			t.Errorf("a bridge called as the parent: %v", err)
		}
		r.start(on(shell("c", forever), spec.Attachment{Network: "lan"}))
		r.reopen()
		all, err := r.engine.Containers(t.Context(), "")
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		r.end6(all[0].Blueprint.ID)
		if _, err := netlink.LinkByName(d.Link); c.made != (err != nil) {
			t.Errorf("link %s after the network: %v", d.Link, err)
		}
	}
	for driver, option := range map[string]string{"macvlan": "nosuch0", "ipvlan": "nosuch0"} {
		_, err := r.engine.CreateNetwork(t.Context(), spec.Network{Name: "lan", Driver: driver, Options: map[string]string{"parent": option}})
		if err == nil || !strings.Contains(err.Error(), option) && !strings.Contains(err.Error(), "module") {
			t.Errorf("%s on a missing parent: %v", driver, err)
		}
	}
}
