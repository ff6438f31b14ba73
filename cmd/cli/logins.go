package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
)

// logins are the user's registry logins, as docker login leaves them in
// ~/.docker/config.json (https://docs.docker.com/reference/cli/docker/login/).
type logins struct {
	file string
	// auth maps a host to "user:password", base64; ":token" stands for an
	// identity token.
	auth map[string]string
	// helpers maps what a login is kept under to the program that has it:
	// docker-credential-NAME.
	helpers map[string]string
	// store is the program that may have logins which the file does not name.
	store string
}

// needsLogins reports whether an operation of that kind may ask a registry.
func needsLogins(kind client.Kind) bool {
	return kind == client.Up || kind == client.Create || kind == client.Run || kind == client.Pull || kind == client.Push || kind == client.Build
}

// logins reads the user's; a file that is not there has none. What credential
// helpers keep is not asked for: see askHelpers.
func (s *session) logins() (logins, error) {
	dir := s.env["DOCKER_CONFIG"]
	if dir == "" {
		if s.env["HOME"] == "" {
			return logins{}, nil
		}
		dir = filepath.Join(s.env["HOME"], ".docker")
	}
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return logins{file: path}, nil
	}
	if err != nil {
		return logins{}, fmt.Errorf("cannot read registry logins: %w", err)
	}
	l, err := parseLogins(data)
	if err != nil {
		return logins{}, fmt.Errorf("cannot read registry logins: %s: %w", path, err)
	}
	l.file = path
	return l, nil
}

// parseLogins reads a config.json.
func parseLogins(data []byte) (logins, error) {
	var file struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			Username      string `json:"username"`
			Password      string `json:"password"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
		CredsStore  string            `json:"credsStore"`
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return logins{}, err
	}
	l := logins{auth: map[string]string{}, helpers: maps.Clone(file.CredHelpers), store: file.CredsStore}
	if l.helpers == nil {
		l.helpers = map[string]string{}
	}
	for host, a := range file.Auths {
		switch {
		case a.IdentityToken != "":
			l.add(host, "", a.IdentityToken)
		case a.Auth != "":
			l.auth[host], l.auth[hostOf(host)] = a.Auth, a.Auth
		case a.Username != "":
			l.add(host, a.Username, a.Password)
		case file.CredsStore != "" && l.helpers[host] == "": // the name alone: its secret is in the store
			l.helpers[host] = file.CredsStore
		}
	}
	return l, nil
}

// add keeps a login under what the file calls its host, and under the host.
func (l *logins) add(host, user, secret string) {
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	l.auth[host], l.auth[hostOf(host)] = encoded, encoded
}

// hostOf is the host in a key of auths, which may be a URL.
func hostOf(key string) string {
	_, rest, found := strings.Cut(key, "://")
	if !found {
		rest = key
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}
