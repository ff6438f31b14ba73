package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// oneService is a project with one service and what there is of its image.
func oneService(t *testing.T, s model.Service, image *spec.Image) (state.Desired, state.Actual) {
	t.Helper()
	s.Name, s.Scale = "a", 1
	want, err := state.Want(&model.Project{Name: "p", Services: map[string]model.Service{"a": s}}, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	actual := state.Actual{Project: "p", At: time.Unix(1e9, 0), Images: map[string]spec.Image{}}
	if image != nil {
		image.Digest, image.Config = "sha256:a", shell
		actual.Images[want.Services[0].Image.Reference] = *image
	}
	return want, actual
}

// fetches are the image steps of a plan, in words.
func fetches(p *Plan) string {
	var out []string
	for _, s := range p.Steps {
		switch {
		case s.Kind == PullImage && s.Pull == nil:
			out = append(out, strings.TrimSpace("skip "+s.Details))
		case s.Kind == PullImage:
			out = append(out, "pull")
		case s.Kind == BuildImage:
			out = append(out, "build")
		}
	}
	return strings.Join(out, ", ")
}

// What each pull_policy does in up and in pull, with the image here and not.
func TestPullPolicyOfAService(t *testing.T) {
	build := &model.Build{Context: "/ctx"}
	ago := func(d time.Duration) *spec.Image { return &spec.Image{PulledAt: time.Unix(1e9, 0).Add(-d)} }
	here, day := ago(time.Minute), 24*time.Hour
	for _, test := range []struct {
		policy, reference string
		build             *model.Build
		image             *spec.Image
		up, pull          string
	}{
		{"", "a:1", nil, nil, "pull", "pull"},
		{"", "a:1", nil, here, "", "pull"},
		{"always", "a:1", nil, here, "pull", "pull"},
		{"missing", "a:1", nil, nil, "pull", "pull"},
		{"missing", "a:1", nil, here, "", "skip Image is already present locally"},
		{"missing", "a", nil, here, "", "pull"},
		{"missing", "h:5000/a:latest", nil, here, "", "pull"},
		{"if_not_present", "h:5000/a:1", nil, here, "", "skip Image is already present locally"},
		{"never", "a:1", nil, here, "", "skip"},
		{"never", "a:1", nil, nil, "error", "skip"},
		{"build", "a:1", build, here, "build", "skip"},
		{"build", "a:1", nil, nil, "error", "skip"},
		{"daily", "a:1", nil, ago(day - time.Second), "", "pull"},
		{"daily", "a:1", nil, ago(day + time.Second), "pull", "pull"},
		{"daily", "a:1", nil, nil, "pull", "pull"},
		{"weekly", "a:1", nil, ago(2 * day), "", "pull"},
		{"weekly", "a:1", nil, ago(8 * day), "pull", "pull"},
		{"every_1d12h", "a:1", nil, ago(35 * time.Hour), "", "pull"},
		{"every_1d12h", "a:1", nil, ago(37 * time.Hour), "pull", "pull"},
		{"every_10s", "a:1", nil, &spec.Image{CreatedAt: time.Unix(1e9-5, 0)}, "", "pull"}, // imported
		{"", "a:1", build, nil, "pull", "pull"},
		{"", "a:1", build, here, "", "pull"},
		{"", "", build, nil, "build", "skip No image to be pulled"},
		{"always", "a:1", build, here, "pull", "pull"},
		{"missing", "a:1", build, nil, "pull", "pull"},
		{"never", "a:1", build, nil, "build", "skip"},
	} {
		name := test.policy + " " + test.reference
		if test.build != nil {
			name += " and build"
		}
		if test.image != nil {
			name += " here"
		}
		t.Run(name, func(t *testing.T) {
			want, actual := oneService(t, model.Service{Image: test.reference, PullPolicy: test.policy, Build: test.build}, test.image)
			got := "error"
			if p, err := Diff(want, actual, Policy{}); err == nil {
				got = fetches(p)
			}
			if got != test.up {
				t.Errorf("up does %q, want %q", got, test.up)
			}
			p, err := Pull(want, actual, PullOptions{})
			if err != nil || fetches(p) != test.pull {
				t.Errorf("pull does %q, %v; want %q", fetches(p), err, test.pull)
			}
		})
	}
}

// A tag that another service's build makes is waited for, never pulled.
func TestATagOfAnotherServicesBuild(t *testing.T) {
	project := func(policy string) state.Desired {
		want, err := state.Want(&model.Project{Name: "p", Services: map[string]model.Service{
			"a-user":  {Name: "a-user", Scale: 1, Image: "made/here:v2", PullPolicy: policy},
			"builder": {Name: "builder", Scale: 1, Build: &model.Build{Context: "/ctx", Tags: []string{"docker.io/made/here:v2"}}},
		}}, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return want
	}
	made := spec.Image{Digest: "sha256:made", Config: shell}
	for _, policy := range []string{"", "never", "missing", "always"} {
		p, err := Diff(project(policy), state.Actual{}, Policy{})
		if err != nil || fetches(p) != "build" || len(p.Pending) != 2 {
			t.Fatalf("policy %q: %v\n%s", policy, err, p)
		}
		after, err := p.With("p-builder", made)
		if err != nil || len(after.Pending) != 0 || after.Step("create p-a-user-1") == nil {
			t.Errorf("policy %q, once it is built: %v\n%s", policy, err, after)
		}
	}
	// The tag was removed, the builder's own name is here: build again.
	p, err := Diff(project("never"), state.Actual{Images: map[string]spec.Image{"p-builder": made}}, Policy{})
	if err != nil || fetches(p) != "build" {
		t.Errorf("without the tag: %v\n%s", err, p)
	}
	// All is here: nothing to fetch.
	p, err = Diff(project("never"), state.Actual{Images: map[string]spec.Image{"p-builder": made, "made/here:v2": made}}, Policy{})
	if err != nil || fetches(p) != "" {
		t.Errorf("all is here: %v\n%s", err, p)
	}
}
