package plan

import (
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// layered: app is built on the network back, upon base, which is built, and
// upon tool, which is pulled. Only app is selected.
func layered(t *testing.T, external bool) state.Desired {
	t.Helper()
	want, err := state.Want(&model.Project{
		Name: "p",
		Services: map[string]model.Service{
			"app": {Name: "app", Scale: 1, Networks: []model.Attachment{{Network: "default"}}, Build: &model.Build{
				Context: "/app", Network: "p_back", AdditionalContexts: map[string]string{"b": "service:base", "t": "service:tool", "f": "/folder"},
			}},
			"base": {Name: "base", Scale: 1, Build: &model.Build{Context: "/base"}},
			"tool": {Name: "tool", Scale: 1, Image: "tool:1"},
		},
		Networks: map[string]model.Network{
			"default": {Key: "default", Name: "p_default"}, "back": {Key: "back", Name: "p_back", External: external},
		},
	}, state.Options{Services: []string{"app"}})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestABuildWaitsForWhatItNeeds(t *testing.T) {
	want := layered(t, false)
	fromDiff, err := Diff(want, state.Actual{}, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	fromBuild, err := Build(want, state.Actual{}, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Plan{"up": fromDiff, "build": fromBuild} {
		step := p.Step("build p-app")
		if step == nil || strings.Join(step.After, ", ") != "build p-base, create network p_back, pull tool:1" {
			t.Errorf("%s:\n%s", name, p)
			continue
		}
		if c := step.Build.Contexts; c["b"] != "image:p-base" || c["t"] != "image:tool:1" || c["f"] != "/folder" {
			t.Errorf("%s: contexts %v", name, c)
		}
	}
	if p, err := fromDiff.With("p-app", spec.Image{Digest: "sha256:app", Config: shell}); err != nil || p.Step("create network p_back") == nil {
		t.Errorf("once it is built: %v\n%s", err, p)
	}
	// What is here is not waited for, but what is built is built again by build.
	here := state.Actual{Networks: map[string]spec.Network{"p_back": {Name: "p_back", Labels: map[string]string{state.LabelProject: "p"}}},
		Images: map[string]spec.Image{"p-base": {Digest: "sha256:base", Config: shell}, "tool:1": {Digest: "sha256:tool", Config: shell}}}
	if p, err := Diff(want, here, Policy{}); err != nil || len(p.Step("build p-app").After) != 0 {
		t.Errorf("up with all here: %v\n%s", err, p)
	}
	if p, err := Build(want, here, BuildOptions{}); err != nil || strings.Join(p.Step("build p-app").After, ", ") != "build p-base" {
		t.Errorf("build with all here: %v\n%s", err, p)
	}
	over := BuildOptions{Args: map[string]string{"A": "1"}, SSH: map[string]string{"default": "/agent"}}
	if p, err := Build(want, here, over); err != nil || p.Step("build p-app").Build.Args["A"] != "1" || p.Step("build p-base").Build.SSH["default"] != "/agent" {
		t.Errorf("with what the command says: %v\n%s", err, p)
	}
	if _, err := Build(layered(t, true), state.Actual{}, BuildOptions{}); err == nil || !strings.Contains(err.Error(), "network p_back declared as external") {
		t.Errorf("an external network: %v", err)
	}
}
