package cli

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
)

// logins are the user's registry logins, as docker login leaves them in
// ~/.docker/config.json (https://docs.docker.com/reference/cli/docker/login/).
type logins struct {
	// auth maps a host to "user:password", base64.
	auth map[string]string
	// foreign says which logins we cannot read; "" if all can be.
	foreign string
}

// needsLogins reports whether an operation of that kind may ask a registry.
func needsLogins(kind client.Kind) bool {
	return kind == client.Up || kind == client.Create || kind == client.Run || kind == client.Pull || kind == client.Build
}

// logins reads the user's; a file that is not there has none.
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
		return logins{}, nil
	}
	if err != nil {
		return logins{}, fmt.Errorf("cannot read registry logins: %w", err)
	}
	l, err := parseLogins(data)
	if err != nil {
		return logins{}, fmt.Errorf("cannot read registry logins: %s: %w", path, err)
	}
	if l.foreign != "" {
		l.foreign = path + ": " + l.foreign
	}
	return l, nil
}

// parseLogins reads a config.json. Logins that a credential helper keeps are
// not read: running it is not built yet.
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
	l := logins{auth: map[string]string{}}
	var foreign []string
	for _, host := range slices.Sorted(maps.Keys(file.Auths)) {
		a := file.Auths[host]
		if a.Auth == "" && a.Username != "" {
			a.Auth = base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))
		}
		switch {
		case a.Auth != "" && a.IdentityToken == "":
			l.auth[host] = a.Auth
			l.auth[hostOf(host)] = a.Auth
		case a.IdentityToken != "":
			foreign = append(foreign, hostOf(host)+" (identity token)")
		default: // the name alone: its secret is in the store
			foreign = append(foreign, hostOf(host)+" (credential store "+cmp.Or(file.CredsStore, "unknown")+")")
		}
	}
	for _, host := range slices.Sorted(maps.Keys(file.CredHelpers)) {
		foreign = append(foreign, hostOf(host)+" (credential helper "+file.CredHelpers[host]+")")
	}
	if len(foreign) > 0 {
		l.foreign = "not built yet: the login of " + strings.Join(foreign, ", ") + "; only logins kept in the file itself are used"
	}
	return l, nil
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
