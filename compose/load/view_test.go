package load

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAViewKeepsWhatIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"app.env": "LEVEL=info\n", "app.labels": "tier=front\n",
		"compose.yaml": `
services:
  web:
    image: web:${TAG}
    env_file: [app.env]
    label_file: app.labels
    volumes: ["./data:/data"]
    links: [db]
  db: {image: db, networks: [nowhere]}
networks: {nowhere: }
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		view         View
		with, absent []string
	}{
		{View{KeepForm: true}, []string{"image: web:1", "LEVEL: info", "tier: front"}, []string{"depends_on", "name: x_nowhere", "default"}},
		{View{KeepPaths: true}, []string{"source: ./data", "LEVEL: info", "depends_on", "name: x_nowhere", "tier: front"}, []string{dir}},
		{View{KeepEnvironment: true}, []string{"path: " + dir + "/app.env", "source: " + dir + "/data", "tier: front"}, []string{"LEVEL"}},
	} {
		opts := Options{Dir: dir, ProjectName: "x", Env: map[string]string{"TAG": "1"}}
		text, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := LoadView(context.Background(), opts, c.view)
			if err != nil {
				t.Fatal(err)
			}
			shown, err := r.YAML()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.with {
				if !strings.Contains(string(shown), want) {
					t.Errorf("%+v: %q is not in\n%s", c.view, want, shown)
				}
			}
			for _, not := range c.absent {
				if strings.Contains(string(shown), not) {
					t.Errorf("%+v: %q is in\n%s", c.view, not, shown)
				}
			}
			opts.Files, opts.Stdin = []string{"-"}, strings.NewReader(string(text))
		}
	}
}

func TestAViewWithMistakes(t *testing.T) {
	opts := Options{Dir: t.TempDir(), ProjectName: "x", Files: []string{"-"}, Env: map[string]string{}}
	text := "services: {web: {image: web, depends_on: [nobody], networks: [nowhere]}}"
	for _, keep := range []bool{false, true} {
		opts.Stdin = strings.NewReader(text)
		r, err := LoadView(context.Background(), opts, View{KeepMistakes: keep, KeepPaths: true})
		if keep != (err == nil) {
			t.Fatalf("mistakes kept: %v, error %v", keep, err)
		}
		if err != nil {
			continue
		}
		if shown, err := r.YAML(); err != nil || !strings.Contains(string(shown), "nobody") {
			t.Errorf("%v\n%s", err, shown)
		}
	}
}
