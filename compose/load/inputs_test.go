package load

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// loaded is a folder with every kind of input, old enough to be trusted.
func loaded(t *testing.T) (Options, *Inputs) {
	t.Helper()
	dir := folder(t, "p", map[string]string{
		"compose.yaml": `include: [inc/compose.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    image: i:${TAG:-x}
    environment: [BARE]
    env_file: web.env
    build: {context: ., args: {BARE_ARG: }}
    secrets: [pw]
secrets:
  pw: {file: pw.txt}
  env: {environment: SECRET_VARIABLE}
`,
		"base.yaml":        "services:\n  base:\n    hostname: h${BASE_VARIABLE:-x}\n",
		"inc/compose.yaml": "services:\n  db:\n    image: d:${INC_VARIABLE:-x}\n",
		"web.env":          "A=${ENV_FILE_VARIABLE:-x}\n",
		"pw.txt":           "pw",
		"Dockerfile":       "FROM scratch\n",
	})
	old := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: dir, Build: "1", Env: map[string]string{"TAG": "t", "BARE": "b", "UNRELATED": "u"}}
	r, err := Load(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return opts, r.Inputs
}

func TestInputsNameEverythingRead(t *testing.T) {
	opts, in := loaded(t)
	for _, name := range []string{"compose.yaml", "base.yaml", "inc/compose.yaml", "web.env", "pw.txt",
		".env", "inc/.env", "compose.override.yaml", "compose.yml"} {
		if _, ok := in.Files[filepath.Join(opts.Dir, name)]; !ok {
			t.Errorf("%s is not among %v", name, in.Paths())
		}
	}
	for _, name := range []string{"TAG", "BARE", "BARE_ARG", "SECRET_VARIABLE", "BASE_VARIABLE", "INC_VARIABLE", "ENV_FILE_VARIABLE"} {
		if _, ok := in.Variables[name]; !ok {
			t.Errorf("%s is not among %v", name, slices.Sorted(maps.Keys(in.Variables)))
		}
	}
	if _, ok := in.Variables["UNRELATED"]; ok {
		t.Error("a variable that nobody looked up")
	}
	data, err := json.Marshal(in)
	if err != nil || strings.Contains(string(data), `"b"`) {
		t.Error("a value stands in the inputs", err)
	}
	var again Inputs
	if err := json.Unmarshal(data, &again); err != nil || again.Fingerprint() != in.Fingerprint() || !again.Unchanged(opts) {
		t.Error("inputs do not survive JSON", err)
	}
}

func TestInputsNoticeEveryChange(t *testing.T) {
	write := func(name, text string) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			if err := os.Remove(filepath.Join(o.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := func(name, value string) func(*testing.T, *Options) {
		return func(_ *testing.T, o *Options) { o.Env[name] = value }
	}
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *Options)
		same   bool
	}{
		{"nothing", func(*testing.T, *Options) {}, true},
		{"a variable that is not used", env("UNRELATED", "v"), true},
		{"a variable", env("TAG", "v"), false},
		{"a bare name", env("BARE", "v"), false},
		{"a variable that was not set", env("BARE_ARG", ""), false},
		{"a variable taken away", func(_ *testing.T, o *Options) { delete(o.Env, "TAG") }, false},
		{"a COMPOSE_ variable", env("COMPOSE_PROFILES", "v"), false},
		{"the compose file", write("compose.yaml", oneService), false},
		{"the extended file", write("base.yaml", oneService), false},
		{"the included file", write("inc/compose.yaml", oneService), false},
		{"the env file", write("web.env", "A=2"), false},
		{"a secret of the same length", write("pw.txt", "qw"), false},
		{"the same content written again", write("pw.txt", "pw"), true},
		{"an override that appears", write("compose.override.yaml", oneService), false},
		{"a .env that appears", write(".env", "A=1"), false},
		{"a file that goes", remove("pw.txt"), false},
		{"a profile", func(_ *testing.T, o *Options) { o.Profiles = []string{"x"} }, false},
		{"the binary", func(_ *testing.T, o *Options) { o.Build = "2" }, false},
		{"the folder", func(_ *testing.T, o *Options) { o.Dir += "/inc" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts, in := loaded(t)
			opts.Env = maps.Clone(opts.Env)
			tt.change(t, &opts)
			if got := in.Unchanged(opts); got != tt.same {
				t.Errorf("unchanged: %v", got)
			}
		})
	}
}

func TestAFreshFileIsReadAgain(t *testing.T) {
	dir := folder(t, "p", map[string]string{"compose.yaml": oneService})
	opts := Options{Dir: dir}
	r, err := Load(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "compose.yaml")
	if state := r.Inputs.Files[path]; state.ModTime != 0 || state.Digest == "" {
		t.Errorf("times of a file written just now are trusted: %+v", state)
	}
	if !r.Inputs.Unchanged(opts) {
		t.Error("changed by nothing")
	}
}

func TestStandardInputIsAlwaysLoaded(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Files: []string{"-"}, Stdin: strings.NewReader(oneService)}
	r, err := Load(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.Inputs.Unchanged(opts) {
		t.Error("standard input counts as unchanged")
	}
}

func TestNeededVariablesAreEnoughToLoadAgain(t *testing.T) {
	opts, in := loaded(t)
	needed := in.Needed(opts.Env)
	if !maps.Equal(needed, map[string]string{"TAG": "t", "BARE": "b"}) {
		t.Errorf("got %v", needed)
	}
	opts.Env = needed
	if !in.Unchanged(opts) {
		t.Error("with the needed variables alone, the inputs count as changed")
	}
}
