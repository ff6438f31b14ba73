// Package settings reads what a user or an administrator set for all
// projects, merges it, and knows for each value where it came from.
//
// The order, later ones win: the default, /etc/mycompose/config.yaml, the
// user's $XDG_CONFIG_HOME/mycompose/config.yaml (or ~/.config), the
// environment (MYCOMPOSE_*), flags. A key of a later source replaces the whole
// value of an earlier one; maps and lists are not merged entry by entry.
//
// The CLI resolves settings for each command; they travel with its operation.
// An unknown key is an error with file:line:column, so that a typo cannot be
// silent. The package writes nothing.
package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DefaultStateDir is where durable state lies if nobody says otherwise. It is
// never under HOME, so that sudo and root shells see the same projects.
const DefaultStateDir = "/var/lib/mycompose"

// Settings are the resolved values. They survive JSON without loss.
type Settings struct {
	// StateDir is the absolute folder of all durable state.
	StateDir string `json:"stateDir"`
	// RegistryMirrors maps a registry's host ("docker.io") to base URLs that
	// are asked first, in order.
	RegistryMirrors map[string][]string `json:"registryMirrors,omitempty"`
	// InsecureRegistries are hosts that may be asked by plain HTTP.
	InsecureRegistries []string `json:"insecureRegistries,omitempty"`
	// Proxies holds HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	Proxies map[string]string `json:"proxies,omitempty"`
	// LogMaxSize is the size in bytes at which a log file is rotated,
	// LogMaxFiles how many are kept.
	LogMaxSize  int64 `json:"logMaxSize"`
	LogMaxFiles int   `json:"logMaxFiles"`
	// AddressPool is the range (CIDR) that subnets of networks come out of;
	// empty leaves the choice to the engine.
	AddressPool string `json:"addressPool,omitempty"`
	// HostAddress is the host's address that ports without one are published
	// on; empty is all addresses.
	HostAddress string `json:"hostAddress,omitempty"`

	// Origins say for every key its value as text and its source, sorted by key.
	Origins []Origin `json:"origins,omitempty"`
}

// Origin is where a value came from.
type Origin struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Source is "default", "flag --state-dir", "environment MYCOMPOSE_…" or
	// file:line.
	Source string `json:"source"`
}

// setting is one key: how each source names it, how its text is read.
type setting struct {
	key  string // dotted path in the file
	env  string
	flag string // "" if there is none
	// machine: one for the machine, read when the daemon starts; it may stand
	// in the file below /etc only.
	machine bool
	// read takes the value in its text form (see text) into s.
	read func(s *Settings, text string) error
	// show gives the text form back.
	show func(s *Settings) string
}

// table lists all keys. The text form of a list is separated by commas, that
// of a map by semicolons: docker.io=http://a,http://b;registry.example=http://c.
func table() []setting {
	return []setting{
		{"address_pool", "", "", true,
			func(s *Settings, t string) error { return readPrefix(&s.AddressPool, t) },
			func(s *Settings) string { return s.AddressPool }},
		{"host_address", "MYCOMPOSE_HOST_ADDRESS", "", false,
			func(s *Settings, t string) error { return readAddress(&s.HostAddress, t) },
			func(s *Settings) string { return s.HostAddress }},
		{"insecure_registries", "MYCOMPOSE_INSECURE_REGISTRIES", "", false,
			func(s *Settings, t string) error { s.InsecureRegistries = splitList(t); return nil },
			func(s *Settings) string { return strings.Join(s.InsecureRegistries, ",") }},
		{"log.max_files", "MYCOMPOSE_LOG_MAX_FILES", "", false,
			func(s *Settings, t string) error { return readCount(&s.LogMaxFiles, t) },
			func(s *Settings) string { return strconv.Itoa(s.LogMaxFiles) }},
		{"log.max_size", "MYCOMPOSE_LOG_MAX_SIZE", "", false,
			func(s *Settings, t string) error { return readSize(&s.LogMaxSize, t) },
			func(s *Settings) string { return strconv.FormatInt(s.LogMaxSize, 10) }},
		{"proxies.http_proxy", "MYCOMPOSE_HTTP_PROXY", "", false, readProxy("HTTP_PROXY"), showProxy("HTTP_PROXY")},
		{"proxies.https_proxy", "MYCOMPOSE_HTTPS_PROXY", "", false, readProxy("HTTPS_PROXY"), showProxy("HTTPS_PROXY")},
		{"proxies.no_proxy", "MYCOMPOSE_NO_PROXY", "", false, readProxy("NO_PROXY"), showProxy("NO_PROXY")},
		{"registry_mirrors", "MYCOMPOSE_REGISTRY_MIRRORS", "", false,
			func(s *Settings, t string) error { return readMirrors(&s.RegistryMirrors, t) },
			func(s *Settings) string { return showMirrors(s.RegistryMirrors) }},
		{"state_dir", "MYCOMPOSE_STATE_DIR", "state-dir", false,
			func(s *Settings, t string) error { return readDir(&s.StateDir, t) },
			func(s *Settings) string { return s.StateDir }},
	}
}

func readProxy(name string) func(*Settings, string) error {
	return func(s *Settings, t string) error {
		if s.Proxies == nil {
			s.Proxies = map[string]string{}
		}
		delete(s.Proxies, name)
		if t != "" {
			s.Proxies[name] = t
		}
		return nil
	}
}

func showProxy(name string) func(*Settings) string {
	return func(s *Settings) string { return withoutPassword(s.Proxies[name]) }
}

// defaults are the values that nobody set.
func defaults() Settings {
	return Settings{StateDir: DefaultStateDir, LogMaxSize: 10 << 20, LogMaxFiles: 3}
}

// Input is where Resolve looks.
type Input struct {
	// Files are read in order, later ones win; a missing one is no error. The
	// first is the machine's.
	Files []string
	// Environment is "K=V" as in os.Environ.
	Environment []string
	// Flags are the flags given, by name without dashes.
	Flags map[string]string
}

// Resolve reads and merges all sources. The error joins everything wrong, one
// line each.
func Resolve(in Input) (Settings, error) {
	s := defaults()
	keys := table()
	sources := map[string]string{}
	var problems []string
	apply := func(k setting, text, source string) {
		if err := k.read(&s, text); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %s: %v", source, k.key, err))
			return
		}
		sources[k.key] = source
	}

	environment := parseEnvironment(in.Environment)
	for _, k := range keys { // the user's own proxy variables rank lowest
		name, found := strings.CutPrefix(k.key, "proxies.")
		if !found {
			continue
		}
		for _, variable := range []string{name, strings.ToUpper(name)} {
			if v := environment[variable]; v != "" {
				apply(k, v, "environment "+variable)
			}
		}
	}
	for i, path := range in.Files {
		values, wrong := readFile(path, keys)
		problems = append(problems, wrong...)
		for _, k := range keys {
			v, ok := values[k.key]
			if ok && k.machine && i > 0 {
				problems = append(problems, fmt.Sprintf("%s: %s is one for the machine: it belongs into %s", v.source, k.key, in.Files[0]))
			} else if ok {
				apply(k, v.text, v.source)
			}
		}
	}
	// The run root and what tests use are no settings of a user's.
	known := map[string]bool{"MYCOMPOSE_ROOT_TESTS": true, "MYCOMPOSE_RUN_ROOT": true, "MYCOMPOSE_CONTAINER": true,
		"MYCOMPOSE_ACTIVE_HELP": true} // set by the completion scripts of shells
	for _, k := range keys {
		known[k.env] = true
		if v, ok := environment[k.env]; ok && k.env != "" && v != "" {
			apply(k, v, "environment "+k.env)
		}
		if v, ok := in.Flags[k.flag]; ok && k.flag != "" {
			apply(k, v, "flag --"+k.flag)
		}
	}
	problems = append(problems, unknownVariables(environment, known)...)
	if len(problems) > 0 {
		return Settings{}, fmt.Errorf("cannot read settings: %s", strings.Join(problems, "\n"))
	}
	for _, k := range keys {
		source := sources[k.key]
		if source == "" {
			source = "default"
		}
		s.Origins = append(s.Origins, Origin{k.key, k.show(&s), source})
	}
	return s, nil
}

func parseEnvironment(list []string) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	return out
}

// unknownVariables names MYCOMPOSE_ variables that mean nothing. Those with a
// second underscore behind TEST belong to the tests.
func unknownVariables(environment map[string]string, known map[string]bool) []string {
	var out []string
	for name := range environment {
		if strings.HasPrefix(name, "MYCOMPOSE_") && !known[name] && !strings.HasPrefix(name, "MYCOMPOSE_TEST_") {
			out = append(out, "environment "+name+": no such setting")
		}
	}
	slices.Sort(out)
	return out
}
