package apply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// told returns the words about one thing in their order, commas between.
func (w *world) told(id string) string {
	var words []string
	for _, e := range w.events {
		if rest, ok := strings.CutPrefix(e, id+" "); ok {
			words = append(words, rest)
		}
	}
	return strings.Join(words, ", ")
}

func (w *world) wantTold(id, want string) {
	w.t.Helper()
	if got := w.told(id); got != want {
		w.t.Errorf("%s: told %q, want %q", id, got, want)
	}
}

func (w *world) wantError(err error, want string) {
	w.t.Helper()
	if err == nil || err.Error() != want {
		w.t.Errorf("error %v, want %s", err, want)
	}
}

// indexOf fails the test if an event was not told.
func (w *world) indexOf(e string) int {
	w.t.Helper()
	i := slices.Index(w.events, e)
	if i < 0 {
		w.t.Fatalf("%q was not told; told %q", e, w.events)
	}
	return i
}

func TestFreshUpCreatesAndStartsInOrder(t *testing.T) {
	w := newWorld(t)
	p := project(
		model.Service{Name: "web", Image: "image1", DependsOn: []model.Dependency{on("db", model.Healthy)},
			Mounts: []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}}},
		model.Service{Name: "db", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "true"}}},
	)
	w.mustUp(p)
	w.wantTold("Image image1", "Pulling, Pulled")
	w.wantTold("Network p_default", "Creating, Created")
	w.wantTold("Volume p_data", "Creating, Created")
	w.wantTold("Container p-db-1", "Creating, Created, Starting, Started, Waiting, Healthy")
	w.wantTold("Container p-web-1", "Creating, Created, Starting, Started")
	if w.indexOf("Container p-db-1 Healthy") > w.indexOf("Container p-web-1 Starting") {
		t.Error("web was started before db was healthy")
	}
	if len(w.result.Running) != 2 || len(w.result.Created) != 2 {
		t.Errorf("result %+v", w.result)
	}
	w.mustUp(p)
	same(t, "second up", w.events, []string{"Container p-db-1 Running", "Container p-web-1 Running"})
	if len(w.result.Running) != 2 {
		t.Errorf("result of the second up %+v", w.result)
	}
}

func TestAnImageThatNoRegistryHasIsBuilt(t *testing.T) {
	w := newWorld(t)
	w.mustUp(project(model.Service{Name: "web", Image: "missing:1", Build: &model.Build{Context: "/web"}}))
	w.wantTold("Image missing:1", "Pulling, Warning cannot pull image missing:1: manifest unknown, Building, Built")
}

func TestAChangedServiceIsRecreatedAndOthersRun(t *testing.T) {
	w := newWorld(t)
	web := model.Service{Name: "web", Environment: map[string]string{"DEBUG": "0"}, DependsOn: []model.Dependency{on("db", model.Started)}}
	w.mustUp(project(web, model.Service{Name: "db"}))
	web.Environment = map[string]string{"DEBUG": "1"}
	w.mustUp(project(web, model.Service{Name: "db"}))
	w.wantTold("Container p-web-1", "Recreate, Recreated, Starting, Started")
	w.wantTold("Container p-db-1", "Running")
}

// volumeOf returns the anonymous volumes of a container in one text.
func (w *world) volumeOf(name string) string {
	list, err := w.fake.Containers(w.t.Context(), "p")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range list {
		if c.Blueprint.Name == name {
			return c.Status.Volumes["/var/lib/data"]
		}
	}
	w.t.Fatalf("no container %s", name)
	return ""
}

func TestAnonymousVolumesSurviveARecreateButNotARenewal(t *testing.T) {
	w := newWorld(t)
	web := model.Service{Name: "web", Image: "image1"}
	w.mustUp(project(web))
	first := w.volumeOf("p-web-1")
	if first == "" {
		t.Fatal("the image's volume was not made")
	}
	web.User = "nobody"
	w.mustUp(project(web))
	if got := w.volumeOf("p-web-1"); got != first {
		t.Errorf("volume %q became %q", first, got)
	}
	w.mustUp(project(web))
	w.wantTold("Container p-web-1", "Running")
	web.User = "root"
	if err := w.apply(w.plan(project(web), state.Options{}, plan.Policy{RenewAnonymous: true})); err != nil {
		t.Fatal(err)
	}
	if got := w.volumeOf("p-web-1"); got == first || got == "" {
		t.Errorf("volume %q was not renewed", got)
	}
}

func TestDependantsWithRestartStopFirstAndStartLast(t *testing.T) {
	w := newWorld(t)
	dep := on("db", model.Started)
	dep.Restart = true
	web := model.Service{Name: "web", DependsOn: []model.Dependency{dep}}
	w.mustUp(project(web, model.Service{Name: "db"}))
	w.mustUp(project(web, model.Service{Name: "db", User: "nobody"}))
	w.wantTold("Container p-web-1", "Stopping, Stopped, Starting, Started")
	w.wantTold("Container p-db-1", "Recreate, Recreated, Starting, Started")
	if w.indexOf("Container p-web-1 Stopped") > w.indexOf("Container p-db-1 Recreate") ||
		w.indexOf("Container p-db-1 Started") > w.indexOf("Container p-web-1 Starting") {
		t.Errorf("order %q", w.events)
	}
}

func TestSharersOfARecreatedNetworkNamespaceAreRecreated(t *testing.T) {
	w := newWorld(t)
	app := model.Service{Name: "app", NetworkMode: "service:vpn", DependsOn: []model.Dependency{on("vpn", model.Started)}}
	w.mustUp(project(app, model.Service{Name: "vpn"}))
	w.mustUp(project(app, model.Service{Name: "vpn"}))
	same(t, "second up", w.events, []string{"Container p-vpn-1 Running", "Container p-app-1 Running"})
	// Also when only the owner is selected.
	changed := project(app, model.Service{Name: "vpn", User: "nobody"})
	if err := w.apply(w.plan(changed, state.Options{Services: []string{"vpn"}}, plan.Policy{})); err != nil {
		t.Fatal(err)
	}
	w.wantTold("Container p-app-1", "Recreate, Recreated, Starting, Started")
	if w.indexOf("Container p-vpn-1 Started") > w.indexOf("Container p-app-1 Starting") {
		t.Errorf("order %q", w.events)
	}
	same(t, "containers", w.containers(), []string{"p-app-1 running", "p-vpn-1 running"})
}

func TestAChangedNetworkIsMadeAnewBelowItsUsers(t *testing.T) {
	w := newWorld(t)
	p := project(model.Service{Name: "a"}, model.Service{Name: "b"})
	w.mustUp(p)
	n := p.Networks["default"]
	n.Internal = true
	p.Networks["default"] = n
	w.mustUp(p)
	w.wantTold("Network p_default", "Removing, Removed, Creating, Created")
	w.wantTold("Container p-a-1", "Stopping, Stopped, Starting, Started")
	w.wantTold("Container p-b-1", "Stopping, Stopped, Starting, Started")
	w.mustUp(p)
	same(t, "second up", w.events, []string{"Container p-a-1 Running", "Container p-b-1 Running"})
}

func TestOneShotsThatAreDoneAreNotRunAgain(t *testing.T) {
	w := newWorld(t)
	p := project(
		model.Service{Name: "web", DependsOn: []model.Dependency{on("migrate", model.Completed)}},
		model.Service{Name: "migrate", Command: []string{"exit", "0"}},
	)
	w.mustUp(p)
	w.wantTold("Container p-migrate-1", "Creating, Created, Starting, Started, Waiting, Exited")
	if len(w.result.Running) != 1 {
		t.Errorf("running %v", w.result.Running)
	}
	w.mustUp(p)
	same(t, "second up", w.events, []string{"Container p-web-1 Running", "Container p-migrate-1 Exited"})
}

func TestADependencyThatFailsKeepsItsDependantCreated(t *testing.T) {
	cases := []struct {
		name       string
		dependency model.Service
		condition  model.Condition
		told, text string
		code       error
	}{
		{"unhealthy", model.Service{Name: "a", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "false"}}}, model.Healthy,
			"Waiting, Error dependency a failed to start", "dependency failed to start: container p-a-1 is unhealthy", spec.ErrUnhealthy},
		{"without healthcheck", model.Service{Name: "a"}, model.Healthy,
			"Waiting, Error dependency a failed to start", "dependency failed to start: container p-a-1 has no healthcheck configured", spec.ErrNoHealth},
		{"ended before it was healthy", model.Service{Name: "a", Command: []string{"exit", "1"}, Healthcheck: &model.Healthcheck{Test: []string{"CMD", "true"}}}, model.Healthy,
			"Waiting, Error dependency a failed to start", "dependency failed to start: container p-a-1 exited (1)", spec.ErrNotRunning},
		{"exit code", model.Service{Name: "a", Command: []string{"exit", "3"}}, model.Completed,
			`Waiting, Error service "a" didn't complete successfully: exit 3`, `service "a" didn't complete successfully: exit 3`, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			err := w.up(project(c.dependency, model.Service{Name: "web", DependsOn: []model.Dependency{on("a", c.condition)}}))
			w.wantError(err, c.text)
			if c.code != nil && !errors.Is(err, c.code) {
				t.Errorf("error %v is not %v", err, c.code)
			}
			w.wantTold("Container p-a-1", "Creating, Created, Starting, Started, "+c.told)
			if !slices.Contains(w.containers(), "p-web-1 created") {
				t.Errorf("containers %v", w.containers())
			}
			if len(w.result.Culprits) != 1 {
				t.Errorf("culprits %v", w.result.Culprits)
			}
		})
	}
}

func TestAnOptionalDependencyThatFailsIsSkipped(t *testing.T) {
	w := newWorld(t)
	dep := on("a", model.Completed)
	dep.Required = false
	if err := w.up(project(
		model.Service{Name: "a", Command: []string{"exit", "3"}},
		model.Service{Name: "web", DependsOn: []model.Dependency{dep}},
	)); err != nil {
		t.Fatal(err)
	}
	text := `optional dependency "a" didn't complete successfully: exit 3`
	w.wantTold("Container p-a-1", "Creating, Created, Starting, Started, Waiting, Skipped: "+text)
	w.indexOf("warning: " + text)
	w.wantTold("Container p-web-1", "Creating, Created, Starting, Started")
}

func TestWaitTakesAServiceThatEndedWellAsDone(t *testing.T) {
	w := newWorld(t)
	wait := plan.Policy{Wait: true}
	if err := w.apply(w.plan(project(
		model.Service{Name: "checked", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "true"}}},
		model.Service{Name: "plain"},
		model.Service{Name: "once", Command: []string{"exit", "0"}},
	), state.Options{}, wait)); err != nil {
		t.Fatal(err)
	}
	const started = "Creating, Created, Starting, Started, Waiting, "
	w.wantTold("Container p-checked-1", started+"Healthy")
	w.wantTold("Container p-plain-1", started+"Healthy")
	w.wantTold("Container p-once-1", started+"Exited")

	w = newWorld(t)
	err := w.apply(w.plan(project(model.Service{Name: "a", Command: []string{"exit", "3"}}), state.Options{}, wait))
	w.wantError(err, "container p-a-1 exited (3)")
	w = newWorld(t)
	err = w.apply(w.plan(project(model.Service{Name: "a", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "false"}}}), state.Options{}, wait))
	w.wantError(err, "container p-a-1 is unhealthy")
}

func TestWaitTimeoutEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.plan(project(model.Service{Name: "a", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "pending"}}}),
			state.Options{}, plan.Policy{Wait: true})
		_, err := Run(t.Context(), p, w.fake, w.sink, Options{WaitTimeout: 3 * time.Second})
		w.wantError(err, "application not healthy after 3s")
	})
}

func TestWaitLooksAgainAtWhatHasJustStarted(t *testing.T) {
	for after, wanted := range map[time.Duration]string{settle / 5: "container p-a-1 exited (3)", 2 * settle: ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.plan(project(model.Service{Name: "a"}), state.Options{}, plan.Policy{Wait: true})
			var ending *time.Timer
			_, err := Run(t.Context(), p, w.fake, func(e event.Event) {
				w.sink(e)
				if e.ID == "Container p-a-1" && e.Text == "Waiting" {
					ending = time.AfterFunc(after, func() { w.fake.Exit("p-a-1", 3) })
				}
			}, Options{})
			ending.Stop()
			if wanted != "" {
				w.wantError(err, wanted)
			} else if err != nil {
				t.Errorf("one that ended after %s: %v", after, err)
			}
		})
	}
}

func TestAServiceDoesNotWaitForThePullOfAnother(t *testing.T) {
	w := newWorld(t)
	w.fake.Publish("slow", spec.ImageConfig{})
	slow := &slowPull{Fake: w.fake, release: make(chan struct{})}
	p := w.plan(project(model.Service{Name: "a", Image: "slow"}, model.Service{Name: "b", Image: "image1"}), state.Options{}, plan.Policy{})
	_, err := Run(t.Context(), p, slow, func(e event.Event) {
		w.sink(e)
		if e.ID == "Container p-b-1" && e.Text == "Started" {
			close(slow.release) // only now may the pull of a end
		}
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "containers", w.containers(), []string{"p-a-1 running", "p-b-1 running"})
}

// slowPull holds back the pull of the image "slow".
type slowPull struct {
	*backend.Fake
	release chan struct{}
}

func (s *slowPull) PullImage(ctx context.Context, p spec.Pull, progress func(spec.Progress)) (spec.Image, error) {
	if p.Reference == "slow" {
		<-s.release
	}
	return s.Fake.PullImage(ctx, p, progress)
}

func TestBuildOutputIsToldAsOutput(t *testing.T) {
	w := newWorld(t)
	p := w.plan(project(model.Service{Name: "web", Build: &model.Build{Context: "/app/web"}}), state.Options{}, plan.Policy{})
	var output []string
	_, err := Run(t.Context(), p, w.fake, func(e event.Event) {
		if e.Kind == event.KindOutput {
			output = append(output, strings.TrimSpace(e.ID+": "+e.Text+" "+e.Details))
		}
		w.sink(e)
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "output", output, []string{"p-web 1/1: RUN true DONE", "p-web 1/1: hello"})
	w.wantTold("Image p-web", "Building, Built")
}

func TestDryRunTouchesNothing(t *testing.T) {
	w := newWorld(t)
	p := w.plan(project(model.Service{Name: "web", Image: "image1"}), state.Options{}, plan.Policy{})
	before := len(w.fake.Calls())
	if err := DryRun(p, w.sink); err != nil {
		t.Fatal(err)
	}
	if len(w.fake.Calls()) != before || len(w.events) != 1 || !strings.Contains(w.events[0], "pull image image1") {
		t.Errorf("calls %v, events %q", w.fake.Calls()[before:], w.events)
	}
}

func TestDownLeavesANetworkThatOthersUse(t *testing.T) {
	w := newWorld(t)
	w.mustUp(project(model.Service{Name: "a"}, model.Service{Name: "b"}))
	actual, err := state.Observe(t.Context(), w.fake, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	down, err := plan.Down(actual, plan.Scope{Project: project(model.Service{Name: "a"})}, plan.DownOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.apply(down); err != nil {
		t.Fatal(err)
	}
	w.wantTold("Container p-a-1", "Stopping, Stopped, Removing, Removed")
	w.wantTold("Network p_default", "Removing, Resource is still in use")
	same(t, "containers", w.containers(), []string{"p-b-1 running"})
}
