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

// ids returns the ids of the steps of some kinds.
func ids(p *Plan, kinds ...Kind) []string {
	var out []string
	for _, s := range p.Steps {
		if slices.Contains(kinds, s.Kind) {
			out = append(out, s.ID)
		}
	}
	return out
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func scaled(n int) *model.Project {
	p := shop()
	s := p.Services["worker"]
	s.Scale = n
	p.Services["worker"] = s
	return p
}

func TestScaling(t *testing.T) {
	without := func(numbers ...string) state.Actual {
		a := standing(t, shop())
		a.Containers = slices.DeleteFunc(a.Containers, func(c state.Container) bool {
			return slices.Contains(numbers, c.Name())
		})
		return a
	}
	t.Run("lowering removes the highest numbers", func(t *testing.T) {
		p := mustDiff(t, scaled(1), standing(t, shop()), state.Options{}, Policy{})
		wantIDs(t, ids(p, RemoveContainer), "remove shop-worker-2", "remove shop-worker-3")
		if c := p.Step("stop shop-worker-3").Cause; c != "scale 3 → 1" {
			t.Errorf("cause %s", c)
		}
	})
	t.Run("a gap is filled, as one that a failed recreation has left", func(t *testing.T) {
		p := mustDiff(t, shop(), without("shop-worker-2"), state.Options{}, Policy{})
		wantIDs(t, ids(p, CreateContainer), "create shop-worker-2")
	})
	t.Run("the command overrides the file", func(t *testing.T) {
		p := mustDiff(t, shop(), standing(t, shop()), state.Options{Scale: map[string]int{"worker": 4}}, Policy{})
		wantIDs(t, ids(p, CreateContainer), "create shop-worker-4")
	})
	t.Run("an unknown service is refused", func(t *testing.T) {
		_, err := state.Want(shop(), state.Options{Scale: map[string]int{"nosuch": 4}})
		if err == nil || err.Error() != "no such service: nosuch" {
			t.Errorf("error %v", err)
		}
	})
}

func TestSelectedServicesBringTheirDependencies(t *testing.T) {
	a := state.Actual{Project: "shop", Images: images}
	p := mustDiff(t, shop(), a, state.Options{Services: []string{"migrate"}}, Policy{})
	wantIDs(t, ids(p, CreateContainer), "create shop-migrate-1", "create shop-redis-1")
	wantIDs(t, ids(p, CreateNetwork), "create network shop_back")
	p = mustDiff(t, shop(), a, state.Options{Services: []string{"migrate"}, NoDeps: true}, Policy{})
	wantIDs(t, ids(p, CreateContainer, WaitContainer), "create shop-migrate-1")
}

func TestPoliciesOfRecreation(t *testing.T) {
	changed := shop()
	s := changed.Services["redis"]
	s.User = "nobody"
	changed.Services["redis"] = s
	p := mustDiff(t, changed, standing(t, shop()), state.Options{}, Policy{NoRecreate: true})
	wantIDs(t, ids(p, CreateContainer, StopContainer))
	p = mustDiff(t, shop(), standing(t, shop()), state.Options{Services: []string{"worker"}}, Policy{ForceRecreate: true})
	wantIDs(t, ids(p, CreateContainer), "create shop-worker-1", "create shop-worker-2", "create shop-worker-3")
	p = mustDiff(t, changed, standing(t, shop()), state.Options{}, Policy{NoStart: true})
	wantIDs(t, ids(p, StartContainer, WaitContainer))
	wantIDs(t, ids(p, CreateContainer), "create shop-redis-1")
}

func TestOrphansAreWarnedOfOrRemoved(t *testing.T) {
	p := shop()
	delete(p.Services, "worker")
	a := standing(t, shop())
	got := mustDiff(t, p, a, state.Options{}, Policy{})
	if !got.Empty() || len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "Found orphan containers (shop-worker-1, shop-worker-2, shop-worker-3) for this project. If you removed") {
		t.Errorf("%s", got)
	}
	got = mustDiff(t, p, a, state.Options{}, Policy{RemoveOrphans: true})
	wantIDs(t, ids(got, RemoveContainer), "remove shop-worker-1", "remove shop-worker-2", "remove shop-worker-3")
	if got = mustDiff(t, p, a, state.Options{}, Policy{IgnoreOrphans: true}); len(got.Warnings) > 0 {
		t.Errorf("%s", got)
	}
	other := *p
	other.WorkingDir = "/elsewhere"
	want := "shop-worker-1 was started in " + p.WorkingDir + ", whose project is named shop too"
	if got = mustDiff(t, &other, a, state.Options{}, Policy{}); len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], want) {
		t.Errorf("%s", got)
	}
}

func TestServicesOfInactiveProfilesAreNoOrphans(t *testing.T) {
	p := shop()
	p.Disabled = map[string]model.Service{"worker": p.Services["worker"]}
	delete(p.Services, "worker")
	if got := mustDiff(t, p, standing(t, shop()), state.Options{}, Policy{RemoveOrphans: true}); !got.Empty() || len(got.Warnings) > 0 {
		t.Errorf("%s", got)
	}
}

func TestWhatIsNotOursIsUsedAsItIs(t *testing.T) {
	p := shop()
	n := p.Networks["back"]
	n.External = true
	p.Networks["back"] = n
	v := p.Volumes["data"]
	v.External = true
	p.Volumes["data"] = v
	want, err := state.Want(p, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Diff(want, state.Actual{Images: images}, Policy{})
	for _, text := range []string{"network shop_back declared as external, but could not be found", `external volume "shop_data" not found`} {
		if err == nil || !strings.Contains(err.Error(), text) || !errors.Is(err, spec.ErrNotFound) {
			t.Errorf("error %v, want %s", err, text)
		}
	}
	foreign := state.Actual{Images: images, Networks: map[string]spec.Network{"shop_back": {Name: "shop_back"}}, Volumes: map[string]spec.Volume{"shop_data": {Name: "shop_data"}}}
	got, err := Diff(want, foreign, Policy{})
	if err != nil || len(got.Warnings) > 0 {
		t.Fatalf("external: %v, %v", err, got)
	}
	wantIDs(t, ids(got, CreateVolume, CreateNetwork), "create network shop_default")
	got = mustDiff(t, shop(), foreign, state.Options{}, Policy{})
	wantIDs(t, ids(got, RemoveNetwork, CreateVolume, CreateNetwork), "create network shop_default")
	if len(got.Warnings) != 2 || !strings.HasPrefix(got.Warnings[0], "a network with name shop_back exists but was not created by compose.") {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func TestGrowingKeepsWhatWasDecided(t *testing.T) {
	first := mustDiff(t, shop(), state.Actual{Project: "shop", Images: map[string]spec.Image{"redis:alpine": images["redis:alpine"]}}, state.Options{}, Policy{})
	second, err := first.With("shop-web", images["shop-web"])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range first.Steps {
		if s.Kind != Gate && second.Step(s.ID) == nil {
			t.Errorf("step %s is gone", s.ID)
		}
	}
	if len(second.Pending) > 0 || len(ids(second, Gate)) > 0 {
		t.Errorf("%s", second)
	}
	if again, err := second.With("shop-web", images["shop-web"]); err != nil || again != second {
		t.Errorf("a plan without pending services grew: %v", err)
	}
}

func TestAPendingServiceHoldsBackOnlyWhatHangsOnIt(t *testing.T) {
	p := shop()
	s := p.Services["worker"]
	s.DependsOn[0].Service, s.DependsOn[0].Condition, s.DependsOn[0].Restart = "web", model.Started, true
	p.Services["worker"] = s
	got := mustDiff(t, p, standing(t, p), state.Options{}, Policy{Build: "always"})
	if !slices.Equal(got.Pending, []string{"migrate", "web", "worker"}) {
		t.Errorf("pending %v", got.Pending)
	}
	if !slices.Contains(got.Unchanged, "shop-redis-1") {
		t.Errorf("unchanged %v", got.Unchanged)
	}
}
