package engine

import (
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestFollowedHostsKeepsWhatOthersWrote(t *testing.T) {
	before := "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n"
	for _, c := range []struct{ content, now, want string }{
		{before, before + "10.1.0.2\tweb\n", before + "10.1.0.2\tweb\n"},
		{before + "1.2.3.4 mine", "127.0.0.1\tlocalhost\n", "127.0.0.1\tlocalhost\n1.2.3.4 mine\n"},
		{"1.2.3.4 mine\n", before + "10.1.0.2\tweb\n", "1.2.3.4 mine\n10.1.0.2\tweb\n"},
		{"", "", ""},
	} {
		if got := string(followedHosts([]byte(c.content), []byte(before), []byte(c.now))); got != c.want {
			t.Errorf("%q became %q, not %q", c.content, got, c.want)
		}
	}
}

func TestHostsFollowTheNetworksOfARunningContainer(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "a", Internal: true})
	r.network(spec.Network{Name: "b"})
	web := on(shell("web", forever), spec.Attachment{Network: "a"})
	web.Hostname, web.ReadOnlyRoot = "web1", true
	id := r.start(web)
	inode, _ := r.run(id, "echo 10.9.9.9 mine >> /etc/hosts; ls -i /etc/hosts")
	hosts := func() string {
		out, _ := r.run(id, "cat /etc/hosts")
		return out
	}
	r.connect(id, spec.Attachment{Network: "b"})
	var onB string
	for _, e := range r.status(id).Endpoints {
		if e.Network == "b" {
			onB = e.IPv4 + "\tweb1\n"
		}
	}
	gateway := r.networkNamed("b").Pools[0].Gateway + "\thost.docker.internal\n"
	got := hosts()
	for _, line := range []string{onB, gateway, "mine\n"} {
		if line == "" || strings.Count(got, line) != 1 {
			t.Errorf("%q is not once in %s", line, got)
		}
	}
	if n := strings.Count(got, "\tweb1\n"); n != 2 {
		t.Errorf("%d lines of its own in %s", n, got)
	}
	r.disconnect(id, "b")
	if got = hosts(); strings.Contains(got, onB) || strings.Contains(got, gateway) || !strings.Contains(got, "mine\n") {
		t.Errorf("after disconnect: %s", got)
	}
	r.disconnect(id, "a")
	if got = hosts(); strings.Contains(got, "web1") {
		t.Errorf("without a network: %s", got)
	}
	if now, _ := r.run(id, "ls -i /etc/hosts"); now != inode {
		t.Errorf("another file: %s, was %s", now, inode)
	}
}
