package network_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// keep has the table repaired as the engine does it, until the test ends.
func (w *world) keep() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	watched := make(chan struct{})
	first := sync.OnceFunc(func() { close(watched) })
	group.Go(func() {
		err := w.table.Watch(ctx, func(n firewall.Notice) {
			defer first()
			stands, err := w.table.Stands()
			if n.Ours && err == nil && !stands {
				err = w.table.Ensure(w.state)
			}
			if n.Ours && err == nil {
				w.locked(func(l *network.HostLock) error { return l.Shut(w.net) })
			}
			if n.Others && err == nil {
				err = w.table.Admit(prefix + "+")
			}
			if err != nil {
				w.t.Error(err)
			}
		})
		if err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(func() { cancel(); group.Wait() })
	<-watched
}

func TestFlushedRulesComeBack(t *testing.T) {
	w := newWorld(t)
	front, back := w.network(1, false), w.network(2, false)
	web, other := w.container(2, false, front), w.container(2, false, back)
	w.serve(web, "web", 80)
	w.serve(w.outside, "outside", 80)
	w.publish(both("", 8080, "10.128.1.2:80")...)
	w.keep()
	for _, command := range [][]string{
		{"flush", "ruleset"},
		{"delete", "table", "inet", firewall.TableName(tag)},
		{"flush", "table", "inet", firewall.TableName(tag)},
		{"flush", "chain", "inet", firewall.TableName(tag), "forward"},
	} {
		w.program("nft", command...)
		kerneltest.Eventually(t, generous, func() error {
			stands, err := w.table.Stands()
			if err == nil && !stands {
				err = firewall.ErrMissing
			}
			return err
		})
		w.reaches(w.outside, hostAddr+":8080", "web")
		w.reaches(web, outsideAddr+":80", "outside")
		w.cannotReach(other, "10.128.1.2:80")
		w.cannotReach(w.outside, "10.128.1.2:80")
	}
}

// A firewall that comes, or is loaded again, after our networks.
func TestAFirewallThatComesLaterIsOpened(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(w.outside, "outside", 80)
	w.keep()
	for range 2 {
		w.program("nft", "add table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }")
		kerneltest.Eventually(t, generous, func() error {
			_, _, err := ask(web, "tcp4", outsideAddr+":80", silence)
			return err
		})
		w.program("nft", "delete", "table", "inet", "filter")
	}
}

// Without anybody who repairs it: what is gone with the table is no way in.
func TestNothingIsOpenWhileTheTableIsGone(t *testing.T) {
	w := newWorld(t)
	front, back, inner := w.network(1, false), w.network(2, false), w.network(3, true)
	web, other, db := w.container(2, false, front), w.container(2, false, back), w.container(2, true, inner)
	w.serve(web, "web", 80)
	w.serve(db, "db", 80)
	w.serve(w.outside, "outside", 80)
	w.route(db, "10.128.3.1")
	w.serve(w.host, "host", 9090)
	w.publish(append(both("", 8080, "10.128.1.2:80"), both("127.0.0.1", 8081, "10.128.1.2:80")...)...)
	w.reaches(w.outside, hostAddr+":8080", "web")
	w.leadLoopback(w.outside, hostAddr)
	w.program("nft", "flush", "ruleset")

	w.cannotReach(w.outside, "127.0.0.1:8081") // the kernel's own refusal: route_localnet is that of bridges alone
	w.cannotReach(w.outside, "127.0.0.1:9090")
	w.cannotReach(w.outside, "10.128.1.2:80")
	w.cannotReach(w.outside, "10.128.3.2:80")
	w.cannotReach(other, "10.128.1.2:80")
	w.cannotReach(other, "10.128.3.2:80")
	w.cannotReach(db, "10.128.1.2:80")
	w.outsideHasRoute("10.128.0.0/16") // so that an answer would come
	w.cannotReach(db, outsideAddr+":80")
	w.reaches(w.host, "10.128.1.2:80", "web")
	w.reaches(w.host, "10.128.3.2:80", "db")

	w.must(w.table.Ensure(w.state))
	w.reaches(w.outside, hostAddr+":8080", "web")
	w.reaches(web, outsideAddr+":80", "outside")
	w.reaches(other, hostAddr+":8080", "web")

	// It is the shield that held, and nothing else.
	w.program("nft", "flush", "ruleset")
	w.must(w.shield.Close())
	w.reaches(w.outside, "10.128.1.2:80", "web")
}

// Bridges of ours let packets to 127/8 through (route_localnet): what keeps them
// from the host while the table is gone is a table that nobody flushes.
func TestTheHostsLoopbackIsShutWhileTheTableIsGone(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(w.host, "host", 9090)
	w.leadLoopback(web, "10.128.1.1")
	w.must(w.shield.Close())
	w.program("nft", "flush", "ruleset")
	if _, _, err := ask(web, "tcp4", "127.0.0.1:9090", generous); err != nil {
		t.Fatalf("nothing is open that a shield could shut: %v", err)
	}

	socket := w.raiseShield()
	if socket == nil {
		t.Skip("needs kernel feature: nf_tables tables with an owner (Linux 5.12)")
	}
	w.program("nft", "flush", "ruleset")
	w.cannotReach(web, "127.0.0.1:9090")
	w.reaches(web, "10.128.1.1:9090", "host")
	w.reaches(w.host, "127.0.0.1:9090", "host")
	if again := w.raiseShield(); again != nil {
		t.Error("there is a second shield")
		again.Close()
	}
	duplicate, err := unix.FcntlInt(socket.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	w.must(err)
	w.must(socket.Close())
	w.cannotReach(web, "127.0.0.1:9090")
	w.must(unix.Close(duplicate))
	if left := w.program("nft", "list", "tables"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// One that somebody restored from a listing, and so without an owner, is in nobody's
// way; and it goes although its socket is open yet, as a duplicate may be.
func TestTheShieldComesAndGoesWhateverOthersHave(t *testing.T) {
	w := newWorld(t)
	w.must(w.table.Remove())
	w.program("nft", "add table inet "+firewall.TableName(tag)+"_shield")
	socket := w.raiseShield()
	if socket == nil {
		t.Skip("needs kernel feature: nf_tables tables with an owner (Linux 5.12)")
	}
	defer socket.Close()
	w.must(firewall.DropShield(socket, tag))
	if left := w.program("nft", "list", "tables"); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// An engine that is taken over from an earlier build has routing rules that would
// let nothing in.
func TestRoutingRulesOfAnEarlierBuildGo(t *testing.T) {
	w := newWorld(t)
	before := w.program("ip", "rule") + w.program("ip", "-6", "rule")
	table := "2343422718" // the tag's
	for _, family := range []string{"-4", "-6"} {
		subnet := map[string]string{"-4": "10.128.1.0/24", "-6": "fd6d:1::/64"}[family]
		w.program("ip", family, "rule", "add", "pref", "1002", "protocol", "kernel", "nop")
		w.program("ip", family, "rule", "add", "pref", "1000", "iif", "lo", "protocol", "kernel", "goto", "1002")
		w.program("ip", family, "rule", "add", "pref", "1001", "fwmark", "0/0x2000", "protocol", "kernel", "lookup", table)
		w.program("ip", family, "route", "add", "blackhole", subnet, "table", table, "protocol", "kernel")
	}
	w.program("ip", "rule", "add", "pref", "1001", "fwmark", "0/0x2000", "protocol", "kernel", "lookup", "2864434397") // aabbccdd's
	lock, err := network.LockHost(w.run)
	w.must(err)
	w.must(lock.Unguard(w.net, tag))
	if left := w.program("ip", "rule"); strings.Count(left, "from all") < 6 {
		t.Errorf("another engine has its own no more:\n%s", left)
	}
	for _, t := range []string{"2abbccdd", tag} {
		w.must(lock.Unguard(w.net, t))
	}
	w.must(lock.Unlock())
	if after := w.program("ip", "rule") + w.program("ip", "-6", "rule"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if routes := w.program("ip", "route", "show", "table", "all"); strings.Contains(routes, "blackhole") {
		t.Errorf("left:\n%s", routes)
	}
}

func TestTheGatewayOfAnotherNetworkIsNoWayIn(t *testing.T) {
	w := newWorld(t)
	front, back, inner := w.network(1, false), w.network(2, false), w.network(3, true)
	web, other, db := w.container(2, false, front), w.container(2, false, back), w.container(2, true, inner)
	w.serve(web, "web", 80)
	w.serve(w.host, "host", 9090)
	w.route(db, "10.128.3.1")
	w.publish(both("", 8080, "10.128.1.2:80")...)

	w.reaches(other, "10.128.2.1:9090", "host")
	// By UDP it would answer from the address of the bridge.
	if name, _, err := ask(other, "tcp4", hostAddr+":9090", generous); err != nil || name != "host" {
		t.Errorf("the host by its own address: %q, %v", name, err)
	}
	w.reaches(db, "10.128.3.1:9090", "host")
	for _, at := range []string{"10.128.1.1:9090", "10.128.1.1:8080", "10.128.3.1:9090"} {
		w.cannotReach(other, at)
		w.cannotReach(w.outside, at)
	}
	w.cannotReach(db, "10.128.1.1:9090")
	w.cannotReach(db, hostAddr+":9090")
}

// Flows that begin while the table is gone do not stay untranslated.
func TestFlowsOfTheGapAreTranslatedAfterIt(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(web, "web", 80)
	w.serve(w.outside, "outside", 80)
	w.publish(both("", 8080, "10.128.1.2:80")...)
	in, out := w.patientClient(w.outside, hostAddr+":8080"), w.patientClient(web, outsideAddr+":80")
	// Another firewall keeps connections tracked meanwhile.
	w.program("nft", "add table inet other { chain in { type filter hook prerouting priority 0; ct state established accept; }; }")
	w.program("nft", "delete", "table", "inet", firewall.TableName(tag))
	w.unanswered(in)
	out(silence) // an answer comes where outside knows the way to the container
	w.must(w.table.Ensure(w.state))
	w.must(firewall.ForgetUntranslated(w.host.File, w.state))
	if got := in(generous); got != "web" {
		t.Errorf("to a published port: %q answers", got)
	}
	if got := out(generous); got != "outside" {
		t.Errorf("from a container: %q answers", got)
	}
}
