package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAVariableIsExplainedWithEachPlaceThatSetsOrUsesIt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"compose.yaml": `services:
  web:
    image: busybox:${TAG:-dev}
    env_file: [my.env, later.env]
    environment: {DEBUG: "${DEBUG}", FOO: "bar $$TAG"}
  db:
    image: busybox:$TAG
    environment: [TAG, X=1]
`,
		"my.env": "# comment\nLOG=1\nFOO=no\n", "later.env": "export LOG=2\n",
		".env": "TAG=latest\n", "one.env": "TAG=one\nB=${TAG}x\n", "two.env": "\nTAG=two\nTAG = again\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	explain := func(name string, o Options) string {
		t.Helper()
		o.Dir = dir
		if o.Env == nil {
			o.Env = map[string]string{}
		}
		r, err := Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		v := r.Explain(name)
		var words []string
		for _, s := range v.Sources {
			words = append(words, fmt.Sprintf("%s %q", s, s.Value))
		}
		for _, u := range v.Uses {
			words = append(words, fmt.Sprintf("used %s %s %q %v", u.Position, u.Path, u.Default, u.HasDefault))
		}
		for _, c := range v.Containers {
			words = append(words, fmt.Sprintf("%s %q %s", c.Service, c.Value, c.From))
		}
		if !v.Known() {
			words = append(words, "unknown, near "+r.Nearest(name))
		}
		return v.Value + ": " + strings.Join(words, "; ")
	}
	uses := `used compose.yaml:3:12 services.web.image "dev" true; used compose.yaml:7:12 services.db.image "" false`
	shell := Options{Env: map[string]string{"TAG": "shell"}}
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"TAG", Options{}, `latest: .env:1 "latest"; ` + uses + `; db "latest" environment at compose.yaml:8:19`},
		{"TAG", shell, `shell: the environment of this command "shell"; .env:1 "latest"; ` + uses + `; db "shell" environment at compose.yaml:8:19`},
		{"TAG", Options{EnvFiles: []string{"one.env", "two.env"}}, `again: two.env:3 "again"; one.env:1 "one"; ` + uses + `; db "again" environment at compose.yaml:8:19`},
		{"DEBUG", Options{}, `: used compose.yaml:5:26 services.web.environment.DEBUG "" false; web "" environment at compose.yaml:5:19`},
		{"LOG", Options{}, `: web "2" env_file at later.env:1`},
		{"FOO", Options{}, `: web "bar $TAG" environment at compose.yaml:5:38`},
		{"X", Options{}, `: db "1" environment at compose.yaml:8:24`},
		{"TAGG", Options{}, `: unknown, near TAG`},
	} {
		if got := explain(c.name, c.o); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}
