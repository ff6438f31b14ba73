package load

import (
	"context"
	"encoding/json"
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
