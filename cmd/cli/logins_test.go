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
	want := map[string]string{"https://index.docker.io/v1/": "aHVi", "index.docker.io": "aHVi", "registry.example:5000": "dTpw", "token.example": "OnQ="}
	if !maps.Equal(l.auth, want) {
		t.Errorf("got %v", l.auth)
	}
	if !maps.Equal(l.helpers, map[string]string{"kept.example": "desktop", "cloud.example": "ecr-login"}) || l.store != "desktop" {
		t.Errorf("helpers %v, store %q", l.helpers, l.store)
	}
}

// helperScript is a credential helper that knows two logins and one token.
const helperScript = `#!/bin/sh
read name
case $1-$name in
list-) echo '{"https://listed.example/v1": "u"}' ;;
get-kept.example) echo '{"ServerURL": "kept.example", "Username": "u", "Secret": "p:w"}' ;;
get-https://listed.example/v1) echo '{"Username": "<token>", "Secret": "t"}' ;;
get-broken.example) echo "the keychain is locked"; exit 1 ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
`

func TestLoginsOfCredentialHelpers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(helperScript), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	l, err := parseLogins([]byte(`{"auths": {"kept.example": {}, "plain.example": {"auth": "eDp5"}},
		"credsStore": "test", "credHelpers": {"nothing.example": "test", "broken.example": "test", "gone.example": "not-installed"}}`))
	if err != nil {
		t.Fatal(err)
	}
	err = l.askHelpers(t.Context(), os.Environ())
	for _, part := range []string{"docker-credential-test: exit status 1 the keychain is locked", "docker-credential-not-installed"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q", err, part)
		}
	}
	want := map[string]string{"plain.example": "eDp5", "kept.example": "dTpwOnc=", "https://listed.example/v1": "OnQ=", "listed.example": "OnQ="}
	if !maps.Equal(l.auth, want) {
		t.Errorf("got %v, want %v", l.auth, want)
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
