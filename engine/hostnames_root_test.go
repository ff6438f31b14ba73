package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

// listenOnHost answers each connection to an address of the host with a word,
// and returns the port.
func listenOnHost(t *testing.T, address, word string) int {
	t.Helper()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, word+"\n")
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).Port
}

func TestTheHostHasANameInEveryContainer(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	open, loopback := listenOnHost(t, "0.0.0.0:0", "open"), listenOnHost(t, "127.0.0.1:0", "loopback")
	plain := r.start(on(shell("plain", forever), spec.Attachment{Network: "n"}))
	b := on(shell("guest", forever), spec.Attachment{Network: "n"})
	b.HostLoopback = true
	guest := r.start(b)
	b = shell("joined", forever)
	b.NetworkMode = modeContainer + guest
	b.ExtraHosts = []spec.ExtraHost{{Name: "gw", IP: "host-gateway"}, {Name: "host.docker.internal", IP: "192.0.2.7"}}
	joined := r.start(b)
	for _, id := range []string{plain, guest, joined} {
		if got := r.eventuallyRun(id, fmt.Sprintf("nc host.mycompose.internal %d </dev/null", open)); strings.TrimSpace(got) != "open" {
			t.Errorf("the host answers %q", got)
		}
	}
	if out, code := r.run(plain, fmt.Sprintf("nc -w 1 host.docker.internal %d </dev/null", loopback)); code == 0 {
		t.Errorf("the host's loopback is reached without being asked for: %s", out)
	}
	for _, id := range []string{guest, joined} {
		if got := r.eventuallyRun(id, fmt.Sprintf("nc host.mycompose.internal %d </dev/null", loopback)); strings.TrimSpace(got) != "loopback" {
			t.Errorf("the host's loopback answers %q", got)
		}
	}
	gateway := r.networkNamed("n").Pools[0].Gateway
	if out, code := r.run(plain, "nslookup -type=a host.docker.internal"); code != 0 || !strings.Contains(out, gateway) {
		t.Errorf("who asks the resolver alone gets %s", out)
	}
	hosts, _ := r.run(joined, "cat /etc/hosts")
	for _, line := range []string{gateway + "\tgw\n", "192.0.2.7\thost.docker.internal\n", gateway + "\thost.mycompose.internal\n"} {
		if !strings.Contains(hosts, line) {
			t.Errorf("hosts lack %q: %s", line, hosts)
		}
	}
	b = shell("host", forever)
	b.NetworkMode = modeHost
	if got := r.eventuallyRun(r.start(b), fmt.Sprintf("nc host.docker.internal %d </dev/null", loopback)); strings.TrimSpace(got) != "loopback" {
		t.Errorf("on the host's network it answers %q", got)
	}
	b = shell("none", forever)
	if out, _ := r.run(r.start(b), "cat /etc/hosts"); strings.Contains(out, "docker.internal") {
		t.Errorf("without a network: %s", out)
	}
	// A new daemon knows who is let in, and a stop takes it back.
	r.reopen()
	r.eventuallyRun(guest, fmt.Sprintf("nc host.docker.internal %d </dev/null", loopback))
	if len(r.engine.rules.guests) != 1 {
		t.Errorf("guests %v", r.engine.rules.guests)
	}
	for _, id := range []string{joined, guest} {
		r.stop(id)
	}
	if len(r.engine.rules.guests) != 0 {
		t.Errorf("guests are left: %v", r.engine.rules.guests)
	}
}

// What the host's resolv.conf names is asked, though it be on the host's loopback
// as systemd-resolved's 127.0.0.53, and from the moment that the file names it.
func TestTheHostsResolversAreFollowed(t *testing.T) {
	r := newRig(t)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	config := r.engine.cfg
	config.ResolvConf = upstream(t)
	config.Logger = slog.New(slog.DiscardHandler)
	var err error
	if r.engine, err = Open(config); err != nil {
		t.Fatal(err)
	}
	r.network(spec.Network{Name: "n"})
	asker := r.start(on(shell("asker", forever), spec.Attachment{Network: "n"}))
	wantAnswer := func(when string, found bool) {
		t.Helper()
		out, code := r.run(asker, "nslookup -type=a some.example.")
		if found && !strings.Contains(out, "192.0.2.7") || !found && code == 0 {
			t.Errorf("%s: %s", when, out)
		}
	}
	wantAnswer("at first", true)
	named, err := os.ReadFile(config.ResolvConf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config.ResolvConf, []byte("# nobody\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantAnswer("while nobody is named", false)
	next := config.ResolvConf + ".next"
	if err := errors.Join(os.WriteFile(next, named, 0o644), os.Rename(next, config.ResolvConf)); err != nil {
		t.Fatal(err)
	}
	wantAnswer("with another file in its place", true)
}
