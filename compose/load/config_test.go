package load

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
)

// load1 loads a folder of testdata and fails the test on any mistake.
func load1(t *testing.T, dir string) (*Result, Options) {
	t.Helper()
	opts := caseOptions(t, dir)
	r, err := Load(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r, opts
}

func TestConfigPrintsTheFormOfDockerCompose(t *testing.T) {
	dir := "testdata/config/cf"
	r, opts := load1(t, dir)
	yaml, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(dir, "want.yaml"), strings.ReplaceAll(string(yaml), opts.Dir, "/app"))
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(dir, "want.json"), strings.ReplaceAll(string(text), opts.Dir, "/app"))
	data, err := json.MarshalIndent(r.Project, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(dir, "model.json"), strings.ReplaceAll(string(data), opts.Dir, "/app")+"\n")
}

func TestConfigListsNames(t *testing.T) {
	r, _ := load1(t, "testdata/config/cf")
	for what, pair := range map[string][2][]string{
		"services":    {r.Services(), {"db", "web"}},
		"volumes":     {r.Volumes(), {"data"}},
		"networks":    {r.Networks(), {"default", "front"}},
		"images":      {r.Images(), {"busybox", "busybox:latest"}},
		"profiles":    {r.Profiles(), {"debug"}},
		"environment": {r.Environment(), {"COMPOSE_PROJECT_NAME=cf", "HOST_VARIABLE=from-host", "TAG=latest"}},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestHashChangesOnlyWithWhatContainersDependOn(t *testing.T) {
	r, _ := load1(t, "testdata/config/cf")
	before, ok := r.Hash("web")
	if !ok || len(before) != 64 {
		t.Fatal(before, ok)
	}
	s := r.Project.Services["web"]
	s.Scale = 7
	r.Project.Services["web"] = s
	if after, _ := r.Hash("web"); after != before {
		t.Error("scale changed the hash")
	}
	s.Environment = map[string]string{"A": "2"}
	r.Project.Services["web"] = s
	if after, _ := r.Hash("web"); after == before {
		t.Error("environment did not change the hash")
	}
	if _, ok := r.Hash("nope"); ok {
		t.Error("hash of an unknown service")
	}
}

func TestSecretsNeverReachTheModel(t *testing.T) {
	r, _ := load1(t, "testdata/config/cf")
	data, err := model.Encode(r.Project)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"pass\n", "hello latest"} {
		if strings.Contains(string(data), strings.TrimSpace(content)) {
			t.Errorf("%q is in the model", content)
		}
		found := false
		for _, c := range r.Contents {
			found = found || string(c) == content
		}
		if !found {
			t.Errorf("%q is not in the contents", content)
		}
	}
	if r.Contents[r.Project.Secrets["pw"].Digest] == nil {
		t.Error("the digest of pw leads nowhere")
	}
}

// What config prints is a compose file that means the same.
func TestConfigCanBeFedBack(t *testing.T) {
	dirs, err := filepath.Glob("testdata/right/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no cases", err)
	}
	for _, dir := range append(dirs, "testdata/config/cf") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Setenv("HOME", "/home/user")
			first, opts := load1(t, dir)
			if len(first.Project.Disabled) > 0 {
				return // config leaves services of inactive profiles out, also when others name them
			}
			yaml, err := first.YAML()
			if err != nil {
				t.Fatal(err)
			}
			text, err := first.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for form, printed := range map[string][]byte{"YAML": yaml, "JSON": text} {
				again, err := Load(context.Background(), Options{
					Dir: opts.Dir, Files: []string{"-"}, Stdin: bytes.NewReader(printed),
					Env: map[string]string{"HOST_VARIABLE": "from-host"}, EnvFiles: []string{"/dev/null"}, Profiles: first.Profiles(),
				})
				if err != nil {
					t.Fatalf("%s: %v\n%s", form, err, printed)
				}
				for name := range again.Project.Services {
					if _, ok := first.Project.Services[name]; !ok {
						t.Errorf("%s: service %s was not there", form, name)
					}
				}
				second, err := again.YAML()
				if err != nil {
					t.Fatal(err)
				}
				if form == "YAML" && string(second) != string(yaml) {
					t.Errorf("%s: fed back it is\n%s\nwant\n%s", form, second, yaml)
				}
				withoutPlaces(first.Project)
				withoutPlaces(again.Project)
				for name, s := range first.Project.Services {
					if form == "JSON" {
						s.Extensions = nil // docker compose prints none in JSON
					}
					a, _ := json.Marshal(s)
					b, _ := json.Marshal(again.Project.Services[name])
					if string(a) != string(b) {
						t.Errorf("%s: service %s is\n%s\nwant\n%s", form, name, b, a)
					}
				}
			}
		})
	}
}

func TestConfigDoublesDollars(t *testing.T) {
	dir := t.TempDir()
	text := `services:
  web:
    image: a
    command: [echo, "$$HOME", "a\\\"$$b"]
    labels: {"a$b": "100$$"}
configs:
  c: {content: "$$x"}
`
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Load(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Project.Services["web"].Command; !slices.Equal(got, []string{"echo", "$HOME", `a\"$b`}) {
		t.Errorf("command %q", got)
	}
	yaml, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	printed, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"$$HOME", "$$b", "100$$", "$$x", "a$b"} {
		if !strings.Contains(string(yaml), want) || !strings.Contains(string(printed), want) {
			t.Errorf("no %s in\n%s\n%s", want, yaml, printed)
		}
	}
	if strings.Contains(string(yaml), "a$$b:") || strings.Contains(string(printed), `"a$$b":`) {
		t.Error("a key was changed")
	}
}
