package network_test

import (
	"testing"

	"github.com/mycompose/mycompose/network/firewall"
)

func TestAPublishedPortAnswersEverywhereItShould(t *testing.T) {
	everyWay(t, testAPublishedPortAnswersEverywhereItShould)
}

func testAPublishedPortAnswersEverywhereItShould(t *testing.T, w *world) {
	front, other := w.network(1, false), w.network(2, false)
	web := w.container(2, false, front)
	neighbour := w.container(3, false, front)
	stranger := w.container(2, false, other)
	w.serve(web, "web", 80)
	w.publish(both("", 8080, "10.128.1.2:80")...)

	if seen := w.reaches(w.outside, hostAddr+":8080", "web"); seen != outsideAddr {
		t.Errorf("the container sees %s, want the outside machine's own address", seen)
	}
	w.reaches(w.host, "127.0.0.1:8080", "web")
	w.reaches(w.host, hostAddr+":8080", "web")
	w.reaches(w.host, "10.128.1.2:80", "web")
	w.reaches(web, hostAddr+":8080", "web")
	w.reaches(neighbour, hostAddr+":8080", "web")
	w.reaches(neighbour, "10.128.1.1:8080", "web")
	w.reaches(stranger, hostAddr+":8080", "web")
	if seen := w.reaches(neighbour, "10.128.1.2:80", "web"); seen != "10.128.1.3" {
		t.Errorf("the container sees its neighbour as %s", seen)
	}

	// Taken out again, it is gone at once, for flows that stand as well.
	w.must(w.table.Change(firewall.State{}, firewall.State{Ports: w.state.Ports}))
	w.must(firewall.ForgetUDP(w.host.File, w.state.Ports))
	w.cannotReach(w.outside, hostAddr+":8080")
	w.cannotReach(w.host, "127.0.0.1:8080")
}

func TestNetworksAreIsolated(t *testing.T) { everyWay(t, testNetworksAreIsolated) }

func testNetworksAreIsolated(t *testing.T, w *world) {
	one, two := w.network(1, false), w.network(2, false)
	a, b := w.container(2, false, one), w.container(2, false, two)
	both := w.container(9, false, one, two)
	w.serve(a, "a", 80)
	w.serve(b, "b", 80)

	w.reaches(both, "10.128.1.2:80", "a")
	w.reaches(both, "10.128.2.2:80", "b")
	w.cannotReach(a, "10.128.2.2:80")
	w.cannotReach(b, "10.128.1.2:80")
	w.cannotReach(w.outside, "10.128.1.2:80")
}

func TestContainersGetOutWithTheHostsAddress(t *testing.T) {
	everyWay(t, testContainersGetOutWithTheHostsAddress)
}

func testContainersGetOutWithTheHostsAddress(t *testing.T, w *world) {
	c := w.container(2, false, w.network(1, false))
	w.serve(w.outside, "outside", 80)
	if seen := w.reaches(c, outsideAddr+":80", "outside"); seen != hostAddr {
		t.Errorf("outside sees %s, want the host's address", seen)
	}
}

func TestAnInternalNetworkHasNoWayOutAndNoneIn(t *testing.T) {
	everyWay(t, testAnInternalNetworkHasNoWayOutAndNoneIn)
}

func testAnInternalNetworkHasNoWayOutAndNoneIn(t *testing.T, w *world) {
	inner, front := w.network(1, true), w.network(2, false)
	db, app := w.container(2, true, inner), w.container(3, true, inner)
	web := w.container(2, false, front)
	w.serve(db, "db", 80)
	w.serve(web, "web", 80)
	w.serve(w.outside, "outside", 80)
	w.publish(both("", 8080, "10.128.2.2:80")...)

	w.reaches(app, "10.128.1.2:80", "db")
	w.reaches(w.host, "10.128.1.2:80", "db")
	w.cannotReach(w.outside, "10.128.1.2:80")
	w.cannotReach(web, "10.128.1.2:80")
	w.cannotReach(app, outsideAddr+":80")

	// Even with a route, which its root could add.
	w.route(app, "10.128.1.1")
	w.cannotReach(app, outsideAddr+":80")
	w.cannotReach(app, "10.128.2.2:80")
	w.cannotReach(app, hostAddr+":8080")
	w.reaches(web, outsideAddr+":80", "outside") // the way itself works
}

func TestAPortOnTheHostsLoopbackIsTheHostsOnly(t *testing.T) {
	everyWay(t, testAPortOnTheHostsLoopbackIsTheHostsOnly)
}

func testAPortOnTheHostsLoopbackIsTheHostsOnly(t *testing.T, w *world) {
	front := w.network(1, false)
	web, neighbour := w.container(2, false, front), w.container(3, false, front)
	w.serve(web, "web", 80)
	w.publish(both("127.0.0.1", 8080, "10.128.1.2:80")...)

	w.reaches(w.host, "127.0.0.1:8080", "web")
	w.cannotReach(w.host, hostAddr+":8080")
	w.cannotReach(w.outside, hostAddr+":8080")
	w.cannotReach(w.outside, "10.128.1.2:80")
	w.cannotReach(neighbour, hostAddr+":8080")
	w.cannotReach(neighbour, "10.128.1.1:8080")

	// Frames to 127.0.0.1 from the wire and from a container (moby 45610).
	w.leadLoopback(w.outside, hostAddr)
	w.cannotReach(w.outside, "127.0.0.1:8080")
	w.leadLoopback(neighbour, "10.128.1.1")
	w.serve(w.host, "host", 9090)
	w.cannotReach(neighbour, "127.0.0.1:8080")
	w.cannotReach(neighbour, "127.0.0.1:9090")
	w.reaches(neighbour, "10.128.1.1:9090", "host") // the way itself works
}

func TestAPortOnOneAddressAnswersThereOnly(t *testing.T) {
	everyWay(t, testAPortOnOneAddressAnswersThereOnly)
}

func testAPortOnOneAddressAnswersThereOnly(t *testing.T, w *world) {
	web := w.container(2, false, w.network(1, false))
	w.serve(web, "web", 80)
	w.publish(both(hostAddr, 8080, "10.128.1.2:80")...)
	w.reaches(w.outside, hostAddr+":8080", "web")
	w.reaches(w.host, hostAddr+":8080", "web")
	w.cannotReach(w.host, "127.0.0.1:8080")
	w.cannotReach(w.outside, "10.128.1.1:8080")
}

func TestTwoEnginesOnOneHostAreIsolated(t *testing.T) {
	w := newWorld(t)
	a := w.container(2, false, w.network(1, false))
	w.serve(a, "a", 80)

	w.table = firewall.Open("feedf00d", w.host.File)
	t.Cleanup(func() { w.table.Close() })
	w.must(w.table.Ensure(firewall.State{}))
	b := w.container(2, false, w.network(2, false))
	w.serve(b, "b", 80)
	w.publish(both("", 8081, "10.128.2.2:80")...)

	w.cannotReach(a, "10.128.2.2:80")
	w.cannotReach(b, "10.128.1.2:80")
	w.reaches(w.outside, hostAddr+":8081", "b")
	w.reaches(w.host, "127.0.0.1:8081", "b")
}

func TestAUDPClientFollowsARecreatedContainer(t *testing.T) {
	everyWay(t, testAUDPClientFollowsARecreatedContainer)
}

func testAUDPClientFollowsARecreatedContainer(t *testing.T, w *world) {
	front := w.network(1, false)
	old, young := w.container(2, false, front), w.container(3, false, front)
	w.serve(old, "old", 80)
	w.serve(young, "young", 80)
	before, after := both("", 8080, "10.128.1.2:80"), both("", 8080, "10.128.1.3:80")
	w.publish(before...)

	c := w.udpClient(w.outside, hostAddr+":8080")
	if got := c(); got != "old" {
		t.Fatalf("before: %q answers, want old", got)
	}
	w.must(w.table.Change(firewall.State{Ports: after}, firewall.State{Ports: before}))
	w.must(firewall.ForgetUDP(w.host.File, before))
	if got := c(); got != "young" {
		t.Errorf("after: %q answers, want young", got)
	}
}
