package network_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// links of ours on the host.
func (w *world) links() []network.Link {
	w.t.Helper()
	l, err := w.net.Links(prefix)
	w.must(err)
	return l
}

func TestABridgeMayBeEnsuredAndRemovedAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	b := network.Bridge{Name: network.LinkName(prefix), Addresses: []netip.Prefix{netip.MustParsePrefix("10.128.1.1/24")}, MTU: 1400}
	for range 2 {
		w.must(w.net.EnsureBridge(b))
	}
	got := w.links()
	if len(got) != 1 || got[0].Name != b.Name || got[0].Kind != "bridge" || !got[0].Up || got[0].MTU != 1400 {
		t.Errorf("got %+v", got)
	}
	routes, err := w.net.Routes()
	w.must(err)
	if want := (network.HostRoute{Prefix: netip.MustParsePrefix("10.128.1.0/24"), Link: b.Name}); !slices.Contains(routes, want) {
		t.Errorf("routes %v lack %s", routes, want)
	}
	ranges, err := w.net.Ranges()
	w.must(err)
	if len(ranges) != len(routes) || !slices.Contains(ranges, b.Addresses[0].Masked()) {
		t.Errorf("ranges %v, routes %v", ranges, routes)
	}
	for range 2 {
		w.must(w.net.RemoveBridges(b.Name))
	}
	if got := w.links(); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
}

// By its group the rules know it: another one would leave it open.
func TestABridgeComesBackIntoItsGroup(t *testing.T) {
	w := newWorld(t)
	b := w.network(1, false)
	w.must(w.net.SetGroup(b.Name, 0)) // ip link set BRIDGE group default
	if got := w.links(); len(got) != 1 || got[0].Group != 0 {
		t.Fatalf("got %+v", got)
	}
	w.must(w.net.EnsureBridge(b))
	if got := w.links(); len(got) != 1 || got[0].Group != b.Group || !got[0].Up {
		t.Errorf("got %+v, want group %d", got, b.Group)
	}
}

func TestALinkOfAnotherKindIsNotTakenForABridge(t *testing.T) {
	w := newWorld(t)
	b := network.Bridge{Name: "wire", Addresses: []netip.Prefix{netip.MustParsePrefix("10.128.1.1/24")}}
	if err := w.net.EnsureBridge(b); err == nil || !strings.Contains(err.Error(), "is a veth") {
		t.Errorf("got %v", err)
	}
}

func TestTheLinksInsideAreAsAsked(t *testing.T) {
	w := newWorld(t)
	one, two := w.network(1, false), w.network(2, false)
	c := w.container(7, false, one, two)
	h, err := netlink.NewHandleAt(netns.NsHandle(c.File.Fd()))
	w.must(err)
	defer h.Close()
	var got []string
	links, err := h.LinkList()
	w.must(err)
	for _, l := range links {
		addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
		w.must(err)
		a := l.Attrs()
		got = append(got, fmt.Sprintf("%d %s %s %s %v", a.Index, a.Name, a.Flags&net.FlagUp, a.HardwareAddr, addrs))
	}
	want := []string{
		"1 lo up  [127.0.0.1/8 lo ::1/128]",
		"2 eth0 up 02:42:0a:80:01:07 [10.128.1.7/24 eth0]",
		"3 eth1 up 02:42:0a:80:02:07 [10.128.2.7/24 eth1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	routes, err := h.RouteList(nil, netlink.FAMILY_V4)
	w.must(err)
	if len(routes) != 3 || routes[0].Gw.String() != "10.128.1.1" {
		t.Errorf("routes %v", routes)
	}
}

func TestAFailedAttachLeavesNothing(t *testing.T) {
	w := newWorld(t)
	front := w.network(1, false)
	addr := netip.MustParsePrefix("10.128.1.2/24")
	good := network.Endpoint{Bridge: front.Name, Prefix: prefix, Addresses: []netip.Prefix{addr}}
	for name, second := range map[string]network.Endpoint{
		"a bridge that is not there":   {Bridge: "mcnowhere", Prefix: prefix, Addresses: []netip.Prefix{addr}},
		"a name that is taken inside":  {Bridge: front.Name, Prefix: prefix, Name: "lo", Addresses: []netip.Prefix{addr}},
		"a gateway that is not a host": {Bridge: front.Name, Prefix: prefix, Addresses: []netip.Prefix{addr}, Gateways: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := kerneltest.NewNetNS(t)
			if _, err := w.net.Attach(ns.File, []network.Endpoint{good, second}); err == nil {
				t.Error("it succeeded")
			}
			if got := w.links(); len(got) != 1 {
				t.Errorf("left: %+v", got)
			}
			// The namespace can be used for another try.
			if _, err := w.net.Attach(ns.File, []network.Endpoint{good}); err != nil {
				t.Error(err)
			}
			for _, l := range w.links() {
				if l.Kind == "veth" {
					w.must(w.net.DeleteLinks(l.Name))
				}
			}
		})
	}
}

func TestLinksGoWithTheirNamespace(t *testing.T) {
	w := newWorld(t)
	front := w.network(1, false)
	ns, err := network.NewNamespace()
	w.must(err)
	w.attach(ns, 2, false, front)
	w.must(ns.Close())
	kerneltest.Eventually(t, generous, func() error {
		if l := w.links(); len(l) != 1 {
			return fmt.Errorf("links %+v", l)
		}
		return nil
	})
}

func TestBridgesGoWithWhatIsPluggedIn(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.network(1, false), w.network(2, false), w.network(3, false)
	w.container(2, false, one, two)
	w.container(2, false, three)
	w.must(w.net.RemoveBridges(one.Name, two.Name, "mcnowhere"))
	if got := w.links(); len(got) != 2 {
		t.Errorf("left: %+v, want the third bridge and its port", got)
	}
	w.must(w.net.RemoveBridges(three.Name))
	if got := w.links(); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	if l, err := w.net.Links("wire"); err != nil || len(l) != 1 {
		t.Errorf("the host's own link: %v, %v", l, err)
	}
}

func TestDoComesBack(t *testing.T) {
	w := newWorld(t)
	name := func() string {
		s, err := os.Readlink("/proc/thread-self/ns/net")
		w.must(err)
		return s
	}
	before, inside := name(), ""
	w.must(network.Do(w.host.File, func() error { inside = name(); return nil }))
	if inside == before || name() != before {
		t.Errorf("before %s, inside %s, after %s", before, inside, name())
	}
	if err := network.Do(w.host.File, func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that ended its goroutine has succeeded")
	}
	failed := errors.New("failed")
	if err := network.Do(w.host.File, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestForwardingIsRestoredByTheLastUser(t *testing.T) {
	w := newWorld(t)
	ns := kerneltest.NewNetNS(t)
	h, err := network.OpenIn(ns.File)
	w.must(err)
	defer h.Close()
	forwarding := func() string {
		var b []byte
		ns.Do(t, func() (err error) {
			b, err = os.ReadFile("/proc/sys/net/ipv4/ip_forward")
			return err
		})
		return strings.TrimSpace(string(b))
	}
	dir := t.TempDir()
	locked := func(f func(*network.HostLock) error) {
		t.Helper()
		l, err := network.LockHost(dir)
		w.must(err)
		w.must(f(l))
		w.must(l.Unlock())
	}
	on := func(tag string) {
		locked(func(l *network.HostLock) error { return errors.Join(l.Forward(h, tag), l.Forward(h, tag)) })
	}
	off := func(tag string) {
		locked(func(l *network.HostLock) error { return errors.Join(l.Release(h, tag), l.Release(h, tag)) })
	}
	prior := forwarding()
	on("a")
	on("b")
	off("a")
	off("0badbeef")
	if forwarding() != "1" {
		t.Error("off although b uses it")
	}
	off("b")
	if got := forwarding(); got != prior {
		t.Errorf("got %s, want %s as before", got, prior)
	}
	// A user of an earlier boot does not count.
	stale := filepath.Join(dir, "forward", "users")
	w.must(os.MkdirAll(stale, 0o700))
	w.must(os.WriteFile(filepath.Join(stale, "old"), []byte("another-boot\n"), 0o600))
	on("c")
	off("c")
	if got := forwarding(); got != prior {
		t.Errorf("with a stale user: got %s, want %s", got, prior)
	}
	left, err := os.ReadDir(dir)
	w.must(err)
	if len(left) != 1 || left[0].Name() != "host.lock" {
		t.Errorf("left: %v", left)
	}
}

func TestTheHostIsLockedForOne(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	first, err := network.LockHost(dir)
	w.must(err)
	other, err := os.Open(filepath.Join(dir, "host.lock"))
	w.must(err)
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second lock while held: %v", err)
	}
	w.must(first.Unlock())
	w.must(unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}
