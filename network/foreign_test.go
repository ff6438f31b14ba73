package network_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network/firewall"
)

// program runs one in the host's namespace and returns what it prints.
func (w *world) program(name string, args ...string) string {
	w.t.Helper()
	path := kerneltest.NeedProgram(w.t, name)
	var out []byte
	err := w.host.Try(func() (err error) {
		out, err = exec.Command(path, args...).CombinedOutput()
		return err
	})
	if err != nil {
		w.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

func TestContainersGetThroughAForwardChainThatDrops(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		chain string
	}{
		"of dockerd": {[]string{"-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER"}, "DOCKER-USER"},
		"of ufw":     {[]string{"-P FORWARD DROP", "-A FORWARD -s 198.51.100.1 -j ACCEPT"}, "FORWARD"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			web := w.container(2, false, w.network(1, false))
			other := w.container(2, false, w.network(2, false))
			w.serve(web, "web", 80)
			w.serve(w.outside, "outside", 80)
			w.publish(both("", 8080, "10.128.1.2:80")...)
			for _, r := range c.rules {
				w.program("iptables", append([]string{"-w"}, strings.Fields(r)...)...)
			}
			before := w.program("iptables", "-S")
			w.cannotReach(web, outsideAddr+":80")

			for range 2 {
				w.must(w.table.Admit(prefix + "+"))
			}
			w.reaches(web, outsideAddr+":80", "outside")
			w.reaches(w.outside, hostAddr+":8080", "web")
			w.cannotReach(other, "10.128.1.2:80")
			w.cannotReach(w.outside, "10.128.1.2:80")
			listing := w.program("iptables", "-S", c.chain)
			for _, want := range []string{"-i " + prefix + "+ -j ACCEPT", "-o " + prefix + "+ -j ACCEPT"} {
				if strings.Count(listing, want) != 1 {
					t.Errorf("want %q once in\n%s", want, listing)
				}
			}

			// The chain may refuse nothing any more, as after "ufw disable".
			w.program("iptables", "-w", "-P", "FORWARD", "ACCEPT")
			for range 2 {
				w.must(w.table.Dismiss(prefix + "+"))
			}
			w.program("iptables", "-w", "-P", "FORWARD", "DROP")
			if after := w.program("iptables", "-S"); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

// A published port passes the host's forward rules and not its input rules, as
// with dockerd: who closes INPUT (ufw) must publish on 127.0.0.1, which stays
// reachable from the host as long as its own loopback is.
func TestAPublishedPortIsNotFilteredByInputRules(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(web, "web", 80)
	w.serve(w.host, "host", 9090)
	w.publish(append(both("", 8080, "10.128.1.2:80"), both("127.0.0.1", 8081, "10.128.1.2:80")...)...)
	w.program("iptables", "-w", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
	w.program("iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
	w.program("iptables", "-w", "-P", "INPUT", "DROP")
	w.cannotReach(w.outside, hostAddr+":9090")
	w.reaches(w.outside, hostAddr+":8080", "web")
	w.cannotReach(w.outside, hostAddr+":8081")
	w.reaches(w.host, "127.0.0.1:8081", "web")
	w.reaches(web, hostAddr+":8080", "web")
}

func TestNobodysForwardChainIsTouchedWithoutNeed(t *testing.T) {
	w := newWorld(t)
	w.program("iptables", "-w", "-A", "FORWARD", "-s", "198.51.100.1", "-j", "DROP")
	before := w.program("nft", "list", "ruleset")
	w.must(w.table.Admit(prefix + "+"))
	if after := w.program("nft", "list", "ruleset"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	w.must(firewall.Open(tag, w.host.File).Remove())
	if left := w.program("nft", "list", "ruleset"); strings.Contains(left, tag) {
		t.Errorf("left:\n%s", left)
	}
}

func TestContainersGetThroughAFirewallThatRefusesTheRest(t *testing.T) {
	for name, load := range map[string]string{
		// The forward chain as firewalld 1.3 writes it.
		"firewalld": `table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		reject with icmpx admin-prohibited
	}
}`,
		"a table of one's own": `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }
}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			web := w.container(2, false, w.network(1, false))
			other := w.container(2, false, w.network(2, false))
			w.serve(web, "web", 80)
			w.serve(w.outside, "outside", 80)
			w.publish(both("", 8080, "10.128.1.2:80")...)
			file := filepath.Join(t.TempDir(), "rules.nft")
			w.must(os.WriteFile(file, []byte(load), 0o600))
			w.program("nft", "-f", file)
			w.cannotReach(web, outsideAddr+":80")
			w.must(w.table.Admit(prefix + "+"))
			w.reaches(web, outsideAddr+":80", "outside")
			w.reaches(w.outside, hostAddr+":8080", "web")
			w.cannotReach(other, "10.128.1.2:80")
			w.must(w.table.Dismiss(prefix + "+"))
			w.cannotReach(web, outsideAddr+":80")
		})
	}
}

func TestIPTablesRejectAtTheEndIsOpened(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.network(1, false))
	w.serve(w.outside, "outside", 80)
	w.program("iptables", "-w", "-A", "FORWARD", "-j", "REJECT")
	w.cannotReach(web, outsideAddr+":80")
	w.must(w.table.Admit(prefix + "+"))
	w.reaches(web, outsideAddr+":80", "outside")
}

func TestABridgeWithAUsersNameIsLetThroughByName(t *testing.T) {
	w := newWorld(t)
	web := w.container(2, false, w.networkOn("br-own", 1, false))
	w.serve(w.outside, "outside", 80)
	w.program("iptables", "-w", "-P", "FORWARD", "DROP")
	before := w.program("iptables", "-S")
	w.must(w.table.Admit(prefix + "+"))
	w.cannotReach(web, outsideAddr+":80")
	for range 2 {
		w.must(w.table.Admit(prefix+"+", "br-own"))
	}
	w.reaches(web, outsideAddr+":80", "outside")
	listing := w.program("iptables", "-S", "FORWARD")
	for _, want := range []string{"-i br-own -j ACCEPT", "-o br-own -j ACCEPT", "-i " + prefix + "+ -j ACCEPT"} {
		if strings.Count(listing, want) != 1 {
			t.Errorf("want %q once in\n%s", want, listing)
		}
	}
	w.must(w.table.Dismiss("br-own", prefix+"+"))
	if after := w.program("iptables", "-S"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestContainersGetThroughAnOldForwardChainThatDrops(t *testing.T) {
	for name, rules := range map[string][]string{
		"of dockerd": {"-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER"},
		"at its end": {"-A FORWARD -s 198.51.100.1 -j ACCEPT", "-A FORWARD -j REJECT"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			needIPTables(t, w.host)
			web := w.container(2, false, w.network(1, false))
			w.serve(web, "web", 80)
			w.serve(w.outside, "outside", 80)
			w.publish(both("", 8080, "10.128.1.2:80")...)
			for _, r := range rules {
				w.program("iptables-legacy", append([]string{"-w"}, strings.Fields(r)...)...)
			}
			before := w.program("iptables-legacy", "-S")
			w.cannotReach(web, outsideAddr+":80")
			path := os.Getenv("PATH")
			t.Setenv("PATH", "") // as the daemon's
			for range 2 {
				w.must(w.table.Admit(prefix + "+"))
			}
			t.Setenv("PATH", path)
			w.reaches(web, outsideAddr+":80", "outside")
			w.reaches(w.outside, hostAddr+":8080", "web")
			w.cannotReach(w.outside, "10.128.1.2:80")
			if listing := w.program("iptables-legacy", "-S"); strings.Count(listing, prefix) != 2 {
				t.Errorf("want two rules of ours in\n%s", listing)
			}
			w.must(w.table.Dismiss(prefix + "+"))
			if after := w.program("iptables-legacy", "-S"); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}
