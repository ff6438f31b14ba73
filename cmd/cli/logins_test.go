package cli

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
)

func TestLoginsAreReadFromDockersFile(t *testing.T) {
	l, err := parseLogins([]byte(`{"auths": {
		"https://index.docker.io/v1/": {"auth": "aHVi"},
		"registry.example:5000": {"username": "u", "password": "p"},
		"kept.example": {}, "token.example": {"auth": "eA==", "identitytoken": "t"}},
		"credsStore": "desktop", "credHelpers": {"cloud.example": "ecr-login"}, "detachKeys": "ctrl-x"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"https://index.docker.io/v1/": "aHVi", "index.docker.io": "aHVi", "registry.example:5000": "dTpw"}
	if !maps.Equal(l.auth, want) {
		t.Errorf("got %v", l.auth)
	}
	for _, part := range []string{"kept.example (credential store desktop)", "token.example (identity token)", "cloud.example (credential helper ecr-login)", "not built yet"} {
		if !strings.Contains(l.foreign, part) {
			t.Errorf("%q is not in %q", part, l.foreign)
		}
	}
}

func TestLoginsTravelOnlyWithWhatMayAskARegistry(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, ".docker", "config.json")
	s := newSession(Process{Environment: []string{"HOME=" + home}})
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"auths": {"r.example": {"auth": "eDp5"}}}`)
	for kind, want := range map[client.Kind]int{client.Up: 1, client.Pull: 1, client.Build: 1, client.Run: 1, client.Down: 0, client.Stop: 0} {
		op, err := s.operation(kind, nil, nil)
		if err != nil || len(op.Logins) != want {
			t.Errorf("%s: %v, %v", kind, op.Logins, err)
		}
	}
	write(`{"auths": [`)
	if _, err := s.operation(client.Up, nil, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a wrong file: %v", err)
	}
	if _, err := s.operation(client.Down, nil, nil); err != nil {
		t.Errorf("down needs no logins: %v", err)
	}
}
