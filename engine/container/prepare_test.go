package container

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestOrderPutsOuterTargetsFirst(t *testing.T) {
	mounts := []Mount{{Target: "/a/b/c"}, {Target: "/etc/hosts"}, {Target: "/a/"}, {Target: "/z"}, {Target: "/a/b"}}
	Order(mounts)
	var got []string
	for _, m := range mounts {
		got = append(got, m.Target)
	}
	if want := "/a/ /z /etc/hosts /a/b /a/b/c"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestTmpfsOptions(t *testing.T) {
	for _, c := range []struct {
		name  string
		mount spec.Mount
		want  string
	}{
		{"nothing said is safe and open to all", spec.Mount{}, "noexec nosuid nodev mode=1777"},
		{"size and mode", spec.Mount{TmpfsSize: 4096, TmpfsMode: 0o700, TmpfsUID: 5}, "noexec nosuid nodev mode=700 size=4096 uid=5"},
		{"exec takes noexec away", spec.Mount{TmpfsOptions: []string{"exec", "nosuid"}}, "nosuid nodev mode=1777"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(TmpfsOptions(c.mount), " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestHostsAndResolvConf(t *testing.T) {
	hosts := string(Hosts(nil, []spec.ExtraHost{{Name: "db", IP: "10.0.0.9"}}))
	if !strings.HasPrefix(hosts, "127.0.0.1\tlocalhost\n") || !strings.Contains(hosts, "10.0.0.9\tdb\n") {
		t.Errorf("hosts:\n%s", hosts)
	}
	got := string(ResolvConf([]string{"127.0.0.11"}, []string{"a.example", "b.example"}, []string{"ndots:0"}))
	if want := "nameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWithDefaultKeepsWhatIsSet(t *testing.T) {
	if got := withDefault([]string{"HOME=/x"}, "HOME", "/root"); !slices.Equal(got, []string{"HOME=/x"}) {
		t.Errorf("got %v", got)
	}
	if got := withDefault(nil, "HOME", "/root"); !slices.Equal(got, []string{"HOME=/root"}) {
		t.Errorf("got %v", got)
	}
}
