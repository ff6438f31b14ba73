package load

import (
	"context"
	"strings"
	"testing"
)

// What a project says with its variables still in it, and which they are.
func TestRawProject(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Files: []string{"-"}, Env: map[string]string{"TAG": "7"}, ProjectName: "p", Stdin: strings.NewReader(`
services:
  web:
    image: "redis:${TAG:-latest}"
    ports: ["${PORT:?set a port}:80"]
    environment: {A: "${MODE:+on}", B: "$$NOT", C: "${TAG:-latest}"}
    mem_limit: ${MEMORY}
`)}
	raw, err := LoadRaw(context.Background(), opts, View{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := raw.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"image: redis:${TAG:-latest}\n", "mem_limit: ${MEMORY}\n", "B: $$NOT\n", "${PORT:?set a port}"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	want := []Placeholder{
		{Name: "MEMORY"}, {Name: "MODE", Alternate: "on"}, {Name: "PORT", Required: true}, {Name: "TAG", Default: "latest"},
	}
	got := raw.Variables()
	if len(got) != len(want) {
		t.Fatalf("variables %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("variable %+v, want %+v", got[i], want[i])
		}
	}
	if _, err := LoadRaw(context.Background(), Options{Dir: t.TempDir(), Files: []string{"-"}, Stdin: strings.NewReader("services:\n\tweb:\n"), Env: opts.Env}, View{}); err == nil || !strings.HasPrefix(err.Error(), "<stdin>:2:1: ") {
		t.Errorf("a tab: %v", err)
	}
}
