package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func origin(s Settings, key string) Origin {
	for _, o := range s.Origins {
		if o.Key == key {
			return o
		}
	}
	return Origin{}
}

func TestLaterSourcesWinAndAreNamed(t *testing.T) {
	etc := write(t, "state_dir: /srv/a\nlog:\n  max_size: 20m\n  max_files: 5\nregistry_mirrors:\n  docker.io: [http://127.0.0.1:5000]\n")
	user := write(t, "log: {max_files: 7}\ninsecure_registries: [a:5000, b]\n")
	s, err := Resolve(Input{
		Files:       []string{etc, "/does/not/exist", user},
		Environment: []string{"MYCOMPOSE_STATE_DIR=/srv/b", "MYCOMPOSE_HOST_ADDRESS=127.0.0.1", "https_proxy=http://u:secret@p:1"},
		Flags:       map[string]string{"state-dir": "/srv/c/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Origin{
		{"state_dir", "/srv/c", "flag --state-dir"},
		{"log.max_size", "20971520", etc + ":3"},
		{"log.max_files", "7", user + ":1"},
		{"host_address", "127.0.0.1", "environment MYCOMPOSE_HOST_ADDRESS"},
		{"insecure_registries", "a:5000,b", user + ":2"},
		{"registry_mirrors", "docker.io=http://127.0.0.1:5000", etc + ":5"},
		{"address_pool", "", "default"},
		{"proxies.https_proxy", "http://u:xxxxx@p:1", "environment https_proxy"},
	} {
		if got := origin(s, c.Key); got != c {
			t.Errorf("got %v, want %v", got, c)
		}
	}
	if s.Proxies["HTTPS_PROXY"] != "http://u:secret@p:1" {
		t.Errorf("proxy is %q", s.Proxies["HTTPS_PROXY"])
	}
}

func TestWrongSettingsAreNamedWithTheirPlace(t *testing.T) {
	cases := []struct{ name, file, env, want string }{
		{"an unknown key names file, line and column", "log:\n  max_sise: 3\n", "", `:2:3: unknown key "log.max_sise"`},
		{"an unknown top key", "mirrors: {}\n", "", `:1:1: unknown key "mirrors"`},
		{"a key twice", "state_dir: /a\nlog: {max_files: 1, max_files: 2}\n", "", "log.max_files stands twice"},
		{"a relative state folder", "state_dir: a\n", "", `state_dir: "a" is not an absolute path`},
		{"a bad size", "log: {max_size: 3q}\n", "", `"3q" is not a size`},
		{"a bad mirror", "registry_mirrors: {docker.io: [ftp://x]}\n", "", "is not an http://"},
		{"a list where a mapping is due", "log: [1]\n", "", "log must be a mapping"},
		{"an unknown variable", "", "MYCOMPOSE_STATEDIR=/x", "environment MYCOMPOSE_STATEDIR: no such setting"},
		{"a bad pool", "address_pool: 10.1.0.0/8", "", "not an IPv4 range"},
		{"broken YAML", "a: [", "", "yaml: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Files: []string{write(t, c.file)}}
			if c.env != "" {
				in.Environment = []string{c.env}
			}
			_, err := Resolve(in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestTheAddressPoolIsTheMachines(t *testing.T) {
	file := write(t, "address_pool: 10.128.0.0/9\n")
	if s, err := Resolve(Input{Files: []string{file}}); err != nil || s.AddressPool != "10.128.0.0/9" {
		t.Errorf("got %q, %v", s.AddressPool, err)
	}
	if _, err := Resolve(Input{Files: []string{"/does/not/exist", file}}); err == nil || !strings.Contains(err.Error(), "belongs into /does/not/exist") {
		t.Errorf("got %v", err)
	}
}

func TestAllWrongThingsAreToldAtOnce(t *testing.T) {
	_, err := Resolve(Input{Files: []string{write(t, "a: 1\nb: 2\n")}})
	if err == nil || strings.Count(err.Error(), "unknown key") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestSettingsSurviveJSON(t *testing.T) {
	s, err := Resolve(Input{Environment: []string{"MYCOMPOSE_REGISTRY_MIRRORS=docker.io=http://a,http://b;registry.example=http://c", "MYCOMPOSE_LOG_MAX_SIZE=1MB"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Settings
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, back) || s.LogMaxSize != 1<<20 || len(s.RegistryMirrors["docker.io"]) != 2 {
		t.Errorf("got %+v", back)
	}
}

func TestTheUsersFileFollowsXDG(t *testing.T) {
	if got := Files("/root", ""); got[1] != "/root/.config/mycompose/config.yaml" {
		t.Error(got)
	}
	if got := Files("/root", "/x"); got[1] != "/x/mycompose/config.yaml" {
		t.Error(got)
	}
	if got := Files("", ""); len(got) != 1 {
		t.Error(got)
	}
}
