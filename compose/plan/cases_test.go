package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestBootStartsWhatWasMeantToRunInOrder(t *testing.T) {
	p := shop()
	set := func(name, policy string) {
		s := p.Services[name]
		s.Restart.Policy = policy
		p.Services[name] = s
	}
	set("redis", "unless-stopped")
	set("web", "always")
	set("worker", "unless-stopped")
	a := standing(t, p)
	for i := range a.Containers {
		status := &a.Containers[i].Status
		status.State, status.ExitCode = spec.StateExited, 137
	}
	container(t, a, "shop-worker-2").Status.StoppedByUser = true
	container(t, a, "shop-migrate-1").Status.ExitCode = 0
	got, err := Boot(a, p)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "boot", got.String())

	a = standing(t, p)
	for i := range a.Containers {
		a.Containers[i].Status.State = spec.StateExited
	}
	container(t, a, "shop-redis-1").Status.StoppedByUser = true
	if got, err = Boot(a, p); err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "shop-redis-1 is not started at boot") {
		t.Errorf("warnings %q", got.Warnings)
	}
	wantIDs(t, ids(got, StartContainer), "start shop-web-1", "start shop-worker-1", "start shop-worker-2", "start shop-worker-3")
}

func TestCommandsOnWhatExists(t *testing.T) {
	a := standing(t, shop())
	container(t, a, "shop-worker-2").Status.State = spec.StateExited
	whole := Scope{Project: shop()}
	workers := Scope{Services: []string{"worker"}} // by labels alone
	check := func(name string, p *Plan, err error, kind Kind, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		got := ids(p, kind)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	p, err := Stop(a, workers, nil)
	check("stop", p, err, StopContainer, "stop shop-worker-1", "stop shop-worker-2", "stop shop-worker-3")
	p, err = Start(a, whole, false)
	check("start", p, err, StartContainer, "start shop-worker-2")
	p, err = Kill(a, workers, "SIGHUP")
	check("kill", p, err, KillContainer, "kill shop-worker-1", "kill shop-worker-3")
	p, err = Remove(a, workers, RemoveOptions{})
	check("rm", p, err, RemoveContainer, "remove shop-worker-2")
	p, err = Remove(a, workers, RemoveOptions{Stop: true})
	check("rm -s", p, err, RemoveContainer, "remove shop-worker-1", "remove shop-worker-2", "remove shop-worker-3")
	for _, s := range []Scope{{Project: shop(), Services: []string{"nosuch"}}, {Services: []string{"nosuch"}}} {
		if _, err := Stop(a, s, nil); err == nil || err.Error() != "no such service: nosuch" {
			t.Errorf("error %v", err)
		}
	}
}

func TestRestartTakesDependantsWithRestartAlong(t *testing.T) {
	p := shop()
	s := p.Services["worker"]
	s.DependsOn = slices.Clone(s.DependsOn)
	s.DependsOn[0].Restart = true
	p.Services["worker"] = s
	a := standing(t, p)
	got, err := Restart(a, Scope{Project: p, Services: []string{"redis"}}, RestartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ids(got, StartContainer)); n != 4 {
		t.Errorf("%d starts:\n%s", n, got)
	}
	got, err = Restart(a, Scope{Project: p, Services: []string{"redis"}}, RestartOptions{NoDeps: true})
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, ids(got, StartContainer), "start shop-redis-1")
	since := time.Now()
	container(t, a, "shop-redis-1").Status.StartedAt = since
	got, err = Restart(a, Scope{Project: p, Services: []string{"redis"}}, RestartOptions{NoDeps: true, Since: since})
	if err != nil || !got.Empty() {
		t.Errorf("restarted twice: %v\n%s", err, got)
	}
}

func TestRestartOfANamespaceOwnerTakesItsSharersAlong(t *testing.T) {
	p := &model.Project{Name: "p", Services: map[string]model.Service{
		"vpn": {Name: "vpn", Image: "redis:alpine", Scale: 1, NetworkMode: "none"},
		"app": {Name: "app", Image: "redis:alpine", Scale: 1, NetworkMode: "service:vpn"},
	}}
	got, err := Restart(standing(t, p), Scope{Project: p, Services: []string{"vpn"}}, RestartOptions{NoDeps: true})
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, ids(got, StopContainer, StartContainer), "stop p-app-1", "stop p-vpn-1", "start p-vpn-1", "start p-app-1")
}

func TestABackendIsAskedAboutPendingContainersInItsOwnWords(t *testing.T) {
	p := &model.Project{Name: "p", Services: map[string]model.Service{
		"vpn": {Name: "vpn", Image: "redis:alpine", Scale: 1, NetworkMode: "none"},
		"app": {Name: "app", Image: "absent", Scale: 1, NetworkMode: "service:vpn"},
	}}
	before := mustDiff(t, p, state.Actual{Images: images}, state.Options{}, Policy{}).Before
	modes := map[string]string{}
	for _, b := range before.Blueprints {
		modes[b.Name] = b.NetworkMode
	}
	if modes["p-app-1"] != "container:p-vpn-1" || modes["p-vpn-1"] != "none" {
		t.Errorf("modes %v", modes)
	}
}

func TestAOneShotThatIsDoneIsNotRunAgain(t *testing.T) {
	exited := func(change func(*model.Project), status func(*state.Container)) *Plan {
		p := shop()
		a := standing(t, p)
		c := container(t, a, "shop-migrate-1")
		c.Status.State = spec.StateExited
		if change != nil {
			change(p)
		}
		if status != nil {
			status(c)
		}
		return mustDiff(t, p, a, state.Options{}, Policy{})
	}
	migrate := func(edit func(*model.Service)) func(*model.Project) {
		return func(p *model.Project) {
			s := p.Services["migrate"]
			edit(&s)
			p.Services["migrate"] = s
		}
	}
	p := exited(nil, nil)
	if !p.Empty() || !slices.Equal(p.Done, []string{"shop-migrate-1"}) || len(p.Unchanged) != 5 {
		t.Errorf("%s", p)
	}
	golden(t, "done", p.String())
	t.Run("not with --wait either", func(t *testing.T) {
		p := shop()
		a := standing(t, p)
		container(t, a, "shop-migrate-1").Status.State = spec.StateExited
		got := mustDiff(t, p, a, state.Options{}, Policy{Wait: true})
		wantIDs(t, ids(got, StartContainer, WaitContainer))
		if got.Step("ready shop-migrate-1") != nil || got.Step("ready shop-web-1") == nil {
			t.Errorf("%s", got)
		}
	})
	t.Run("its dependant starts without a wait", func(t *testing.T) {
		p := shop()
		a := standing(t, p)
		container(t, a, "shop-migrate-1").Status.State = spec.StateExited
		container(t, a, "shop-web-1").Status.State = spec.StateExited
		wantIDs(t, ids(mustDiff(t, p, a, state.Options{}, Policy{}), StartContainer, WaitContainer), "start shop-web-1")
	})
	t.Run("--force-recreate runs it", func(t *testing.T) {
		p := shop()
		a := standing(t, p)
		container(t, a, "shop-migrate-1").Status.State = spec.StateExited
		got := mustDiff(t, p, a, state.Options{}, Policy{ForceRecreate: true})
		if got.Step("start shop-migrate-1") == nil || len(got.Done) != 0 {
			t.Errorf("%s", got)
		}
	})
	for name, got := range map[string]*Plan{
		"it failed":                 exited(nil, func(c *state.Container) { c.Status.ExitCode = 1 }),
		"it has another definition": exited(migrate(func(s *model.Service) { s.User = "nobody" }), nil),
		"nobody waits for its completion": exited(func(p *model.Project) {
			s := p.Services["web"]
			s.DependsOn[0].Condition = model.Started
		}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			if got.Step("start shop-migrate-1") == nil || len(got.Done) != 0 {
				t.Errorf("%s", got)
			}
		})
	}
	always := shop()
	migrate(func(s *model.Service) { s.Restart.Policy = "always" })(always)
	a := standing(t, always)
	container(t, a, "shop-migrate-1").Status.State = spec.StateExited
	if got := mustDiff(t, always, a, state.Options{}, Policy{}); got.Step("start shop-migrate-1") == nil {
		t.Errorf("%s", got)
	}
}
