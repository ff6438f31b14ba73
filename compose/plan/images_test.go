package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestPullPolicies(t *testing.T) {
	with := func(policy string) *model.Project {
		p := &model.Project{Name: "p", Services: map[string]model.Service{
			"pulled": {Name: "pulled", Image: "redis:alpine", Scale: 1, PullPolicy: policy, NetworkMode: "none"},
		}}
		return p
	}
	cases := []struct {
		policy  string
		present bool
		steps   []string
		err     string
	}{
		{"", true, nil, ""},
		{"", false, []string{"pull redis:alpine"}, ""},
		{"missing", true, nil, ""},
		{"always", true, []string{"pull redis:alpine"}, ""},
		{"never", true, nil, ""},
		{"never", false, nil, "cannot create service pulled: No such image: redis:alpine"},
	}
	for _, c := range cases {
		a := state.Actual{}
		if c.present {
			a.Images = images
		}
		for _, fromFile := range []bool{true, false} {
			o, p := Policy{Pull: c.policy}, with("")
			if fromFile {
				o, p = Policy{}, with(c.policy)
			}
			want, err := state.Want(p, state.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Diff(want, a, o)
			if c.err != "" {
				if err == nil || err.Error() != c.err || !errors.Is(err, spec.ErrImageMissing) {
					t.Errorf("%+v: error %v", c, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			wantIDs(t, ids(got, PullImage), c.steps...)
		}
	}
}

func TestBuildPolicies(t *testing.T) {
	p := shop()
	a := state.Actual{Images: images}
	wantIDs(t, ids(mustDiff(t, p, a, state.Options{}, Policy{}), BuildImage))
	wantIDs(t, ids(mustDiff(t, p, a, state.Options{}, Policy{Build: "always"}), BuildImage), "build shop-web")
	missing := state.Actual{Images: map[string]spec.Image{"redis:alpine": images["redis:alpine"]}}
	got := mustDiff(t, p, missing, state.Options{}, Policy{})
	wantIDs(t, ids(got, BuildImage, PullImage), "build shop-web") // also worker runs it
	if !slices.Equal(got.Pending, []string{"migrate", "web", "worker"}) {
		t.Errorf("pending %v", got.Pending)
	}
	want, err := state.Want(p, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Diff(want, missing, Policy{Build: "never"}); !errors.Is(err, spec.ErrImageMissing) {
		t.Errorf("error %v", err)
	}
}

// What has nothing to execute is refused once its image is known, before the
// first change if that is now.
func TestAnImageWithoutACommand(t *testing.T) {
	bare := spec.Image{Digest: "sha256:bare", Config: spec.ImageConfig{Cmd: []string{}}}
	p := shop()
	want, err := state.Want(p, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const text = "cannot create service web: no command specified: image shop-web has neither command nor entrypoint"
	both := map[string]spec.Image{"redis:alpine": images["redis:alpine"], "shop-web": bare}
	if _, err := Diff(want, state.Actual{Images: both}, Policy{}); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the image is here: error %v", err)
	}
	first := mustDiff(t, p, state.Actual{Images: map[string]spec.Image{"redis:alpine": images["redis:alpine"]}}, state.Options{}, Policy{})
	if _, err := first.With("shop-web", bare); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the image was built: error %v", err)
	}
	web := p.Services["web"]
	web.Entrypoint = []string{"serve"}
	p.Services["web"] = web
	if want, err = state.Want(p, state.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Diff(want, state.Actual{Images: both}, Policy{}); err != nil && strings.Contains(err.Error(), "service web") {
		t.Errorf("the file has an entrypoint: error %v", err)
	}
}
