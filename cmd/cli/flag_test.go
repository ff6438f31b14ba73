package cli

import (
	"reflect"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestPointsInTimeAreReadInEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"1h":                   now.Add(-time.Hour),
		"1763711999":           time.Unix(1763711999, 0),
		"1763711999.5":         time.Unix(1763711999, 500_000_000),
		"2026-11-21T07:00:00Z": now.Add(-time.Hour),
		"2026-11-20":           time.Date(2026, 11, 20, 0, 0, 0, 0, time.Local),
		"2026-11-20T03:04":     time.Date(2026, 11, 20, 3, 4, 0, 0, time.Local),
	} {
		got, err := parseTime("since", text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := parseTime("since", "12x", now); err == nil {
		t.Error("12x was taken")
	}
}

func TestPublishedPortsOfRun(t *testing.T) {
	for text, want := range map[string]spec.Port{
		"80":                  {ContainerPort: 80, Protocol: "tcp"},
		"8080:80":             {HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"127.0.0.1:53:53/udp": {HostIP: "127.0.0.1", HostPort: 53, ContainerPort: 53, Protocol: "udp"},
		"[::1]::80":           {HostIP: "::1", ContainerPort: 80, Protocol: "tcp"},
	} {
		if got, err := parsePublish(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "0", "99999:80", "80/sctp", "80:"} {
		if got, err := parsePublish(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestMountsOfRun(t *testing.T) {
	for text, want := range map[string]spec.Mount{
		"/data":             {Type: spec.MountVolume, Target: "/data"},
		"v:/data:ro":        {Type: spec.MountVolume, Source: "v", Target: "/data", ReadOnly: true},
		"./src:/src":        {Type: spec.MountBind, Source: "/home/me/src", Target: "/src", CreateHostPath: true},
		"/a:/b:rw":          {Type: spec.MountBind, Source: "/a", Target: "/b", CreateHostPath: true},
		"~/x:/b":            {Type: spec.MountBind, Source: "/root/x", Target: "/b", CreateHostPath: true},
		"/a:/b:z,ro,rslave": {Type: spec.MountBind, Source: "/a", Target: "/b", ReadOnly: true, Propagation: "rslave", CreateHostPath: true},
		"~:/b":              {Type: spec.MountBind, Source: "/root", Target: "/b", CreateHostPath: true},
	} {
		if got, err := parseMount(text, "/home/me", "/root"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "data", ":/x", "a:b", "/a:/b:zz", "/a:/b:ro,zz"} {
		if got, err := parseMount(text, "/", ""); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestAgentsOfABuild(t *testing.T) {
	s := newSession(Process{Dir: "/home/me", Environment: []string{"SSH_AUTH_SOCK=/run/agent"}})
	got, err := s.parseSSH([]string{"default", "git=keys/id", "abs=/k"})
	want := map[string]string{"default": "/run/agent", "git": "/home/me/keys/id", "abs": "/k"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	without := newSession(Process{Dir: "/"})
	for _, bad := range []string{"", "=x", "a=", "default"} {
		if _, err := without.parseSSH([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestScaleAndVariables(t *testing.T) {
	got, err := parseScale([]string{"web=3", "db=0"})
	if err != nil || got["web"] != 3 || got["db"] != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"web", "=3", "web=-1", "web=x"} {
		if _, err := parseScale([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	s := newSession(Process{Environment: []string{"A=ours", "EMPTY="}})
	want := map[string]string{"A": "ours", "B": "x=y", "EMPTY": ""}
	if got := s.parseEnvironment([]string{"A", "B=x=y", "EMPTY", "UNSET"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
