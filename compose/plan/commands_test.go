package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

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
